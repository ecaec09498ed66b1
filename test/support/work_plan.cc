#include "support/work_plan.h"

#include "support/wire.h"

namespace penstock::sim {

namespace {

// Statement texts are shared by all clients, as in real applications; the tag tells them apart.
constexpr std::uint64_t kTags = 12;

std::string parse(std::string_view name, std::string_view text) {
  return message('P', zero_ended(name) + zero_ended(text) + be16(0));
}
std::string bind(std::string_view portal, std::string_view name, const std::string& parameter) {
  return message('B', zero_ended(portal) + zero_ended(name) + be16(0) + be16(1) +
                          be32(static_cast<std::uint32_t>(parameter.size())) + parameter + be16(0));
}
std::string bind_plain(std::string_view portal, std::string_view name) {
  return message('B', zero_ended(portal) + zero_ended(name) + be16(0) + be16(0) + be16(0));
}
std::string describe(char what, std::string_view name) {
  return message('D', what + zero_ended(name));
}
std::string execute(std::string_view portal, int limit = 0) {
  return message('E', zero_ended(portal) + be32(static_cast<std::uint32_t>(limit)));
}
const std::string kSync = message('S');
const std::string kFlush = message('H');

std::string echo_text(const std::string& tag) {
  return fmt::format("SELECT sim_echo($1, '{}')", tag);
}

void add_rows(Batch& batch, const Token& token, int from, int to) {
  for (int i = from; i <= to; ++i)
    batch.steps.push_back({.type = 'D', .row = {fmt::format("{}#{}", token.text(), i)}});
}
void add_tag(Batch& batch, std::string tag) {
  batch.steps.push_back({.type = 'C', .text = std::move(tag)});
}
void add_token(Batch& batch, const Token& token) {
  batch.tokens.push_back(token);
  batch.succeeds.push_back(true);
}

}  // namespace

WorkPlan::WorkPlan(std::uint32_t client, const WorkOptions& options, base::Random& random)
    : client_(client),
      options_(options),
      random_(random),
      startup_application_name_(fmt::format("app of c{}q0", client)),
      application_name_(startup_application_name_) {}

void WorkPlan::forget(char status, const std::string& application_name) {
  status_ = status;
  transaction_left_ = 1;
  application_name_ = application_name;
  // What a rollback would restore is unknown too, unless there is no transaction.
  application_name_at_begin_ = kUnknown;
  prepared_.clear();
}

Batch WorkPlan::next(bool leaving) {
  if (status_ != 'I' && (leaving || transaction_left_-- <= 0)) return control();
  if (status_ == 'E') return in_failed_transaction();
  if (status_ == 'I' && options_.transactions && percent() < 25) return control();

  std::vector<Maker> makers = {&WorkPlan::simple_rows,  &WorkPlan::simple_rows, &WorkPlan::simple_many,
                               &WorkPlan::simple_error, &WorkPlan::simple_slow, &WorkPlan::simple_empty,
                               &WorkPlan::notify};
  if (options_.settings) {
    makers.insert(makers.end(), {&WorkPlan::set, &WorkPlan::show});
    if (options_.discard && status_ == 'I') makers.push_back(&WorkPlan::discard);
  }
  if (options_.copy) makers.insert(makers.end(), {&WorkPlan::copy_in, &WorkPlan::copy_out});
  if (options_.extended) {
    makers.insert(makers.end(), {&WorkPlan::pipeline, &WorkPlan::pipeline, &WorkPlan::pipeline,
                                 &WorkPlan::pipeline, &WorkPlan::only_sync});
    if (options_.transactions) makers.push_back(&WorkPlan::portal_in_parts);
  }
  return (this->*makers[random_.below(makers.size())])();
}

void WorkPlan::add_ready(Batch& batch) {
  batch.steps.push_back({.type = 'Z', .text = std::string(1, status_)});
  batch.application_name = application_name_;
}

// An error: a transaction fails with it, and what follows in this batch is skipped.
void WorkPlan::fail_here(Batch& batch, std::string_view sqlstate) {
  batch.steps.push_back({.type = 'E', .text = std::string(sqlstate)});
  if (status_ == 'T') status_ = 'E';
}

Batch WorkPlan::query(const std::string& text) {
  return {.bytes = message('Q', zero_ended(text))};
}

// ---------------------------------------------------------------- transactions

Batch WorkPlan::control() {
  const Token token = new_token();
  const bool begins = status_ == 'I';
  const bool commits = percent() < 60;
  const std::string text = begins ? "BEGIN" : commits ? "COMMIT" : "ROLLBACK";
  const std::string tag = status_ == 'E' ? "ROLLBACK" : text;
  Batch batch;
  if (options_.extended && percent() < 30) {
    batch.bytes = parse("", text + " " + token.comment()) + bind_plain("", "") + execute("") + kSync;
    batch.steps = {{.type = '1'}, {.type = '2'}};
  } else {
    batch = query(text + " " + token.comment());
  }
  add_token(batch, token);
  add_tag(batch, tag);
  if (begins) {
    application_name_at_begin_ = application_name_;
    transaction_left_ = static_cast<int>(random_.below(5));
  } else if (tag == "ROLLBACK") {
    application_name_ = application_name_at_begin_;
  }
  status_ = begins ? 'T' : 'I';
  add_ready(batch);
  return batch;
}

Batch WorkPlan::in_failed_transaction() {
  const Token token = new_token();
  Batch batch;
  if (options_.extended && percent() < 40) {
    batch.bytes = parse("", echo_text("late")) + bind("", "", token.text()) + execute("") + kSync;
  } else {
    batch = query("SELECT sim_rows(3) " + token.comment());
  }
  batch.tokens.push_back(token);
  batch.succeeds.push_back(false);
  fail_here(batch, "25P02");
  add_ready(batch);
  return batch;
}

// ---------------------------------------------------------------- simple protocol

Batch WorkPlan::simple_rows() {
  const Token token = new_token();
  const int count = percent() < 3 ? 10 * rows() : rows();
  Batch batch = query(fmt::format("SELECT sim_rows({}) {}", count, token.comment()));
  add_token(batch, token);
  batch.steps.push_back({.type = 'T'});
  add_rows(batch, token, 1, count);
  add_tag(batch, fmt::format("SELECT {}", count));
  add_ready(batch);
  return batch;
}

Batch WorkPlan::simple_many() {
  const Token first = new_token();
  const Token second = new_token();
  const bool fails = percent() < 30;
  Batch batch = query(fmt::format("SELECT sim_rows(2) {}; {} {}; ", first.comment(),
                                  fails ? "SELECT sim_fail()" : "SELECT sim_rows(1)", second.comment()));
  add_token(batch, first);
  batch.steps.push_back({.type = 'T'});
  add_rows(batch, first, 1, 2);
  add_tag(batch, "SELECT 2");
  batch.tokens.push_back(second);
  batch.succeeds.push_back(!fails);
  if (fails) {
    fail_here(batch, "22012");
  } else {
    batch.steps.push_back({.type = 'T'});
    add_rows(batch, second, 1, 1);
    add_tag(batch, "SELECT 1");
  }
  add_ready(batch);
  return batch;
}

Batch WorkPlan::simple_error() {
  const Token token = new_token();
  Batch batch = query("SELECT sim_fail() " + token.comment());
  batch.tokens.push_back(token);
  batch.succeeds.push_back(false);
  fail_here(batch, "22012");
  add_ready(batch);
  return batch;
}

Batch WorkPlan::simple_slow() {
  const Token token = new_token();
  Batch batch = query(fmt::format("SELECT sim_sleep({}) {}", 1 + random_.below(60), token.comment()));
  add_token(batch, token);
  batch.steps.push_back({.type = 'T'});
  add_rows(batch, token, 1, 1);
  add_tag(batch, "SELECT 1");
  add_ready(batch);
  batch.alone = batch.slow = true;
  return batch;
}

Batch WorkPlan::simple_empty() {
  Batch batch = query("");
  batch.steps.push_back({.type = 'I'});
  add_ready(batch);
  return batch;
}

Batch WorkPlan::set() {
  const Token token = new_token();
  application_name_ = "set by " + token.text();
  Batch batch = query(fmt::format("SET application_name = '{}' {}", application_name_, token.comment()));
  add_token(batch, token);
  add_tag(batch, "SET");
  add_ready(batch);
  return batch;
}

Batch WorkPlan::show() {
  const Token token = new_token();
  Batch batch = query("SHOW application_name " + token.comment());
  add_token(batch, token);
  batch.steps.push_back({.type = 'T'});
  batch.steps.push_back({.type = 'D', .row = {application_name_}});
  add_tag(batch, "SHOW");
  add_ready(batch);
  return batch;
}

Batch WorkPlan::discard() {
  const Token token = new_token();
  Batch batch = query("DISCARD ALL " + token.comment());
  add_token(batch, token);
  add_tag(batch, "DISCARD ALL");
  prepared_.clear();
  application_name_ = startup_application_name_;
  add_ready(batch);
  return batch;
}

Batch WorkPlan::notify() {
  const Token token = new_token();
  const bool listens = options_.listen && percent() < 50;
  Batch batch = query(listens ? "LISTEN news " + token.comment()
                              : fmt::format("NOTIFY news, 'from {}' {}", token.text(), token.comment()));
  add_token(batch, token);
  add_tag(batch, listens ? "LISTEN" : "NOTIFY");
  add_ready(batch);
  return batch;
}

// ---------------------------------------------------------------- COPY

Batch WorkPlan::copy_in() {
  const Token token = new_token();
  const bool fails = percent() < 20;
  const int count = rows();
  Batch batch = query("COPY t FROM STDIN " + token.comment());
  batch.alone = true;
  batch.tokens.push_back(token);
  batch.succeeds.push_back(!fails);
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += message('d', fmt::format("{}\t{}\n", token.text(), i));
  bytes += fails ? message('f', zero_ended("no more")) : message('c');
  batch.steps.push_back({.type = 'G', .then_send = bytes});
  if (fails) {
    fail_here(batch, "57014");
  } else {
    add_tag(batch, fmt::format("COPY {}", count));
  }
  add_ready(batch);
  return batch;
}

Batch WorkPlan::copy_out() {
  const Token token = new_token();
  const int count = rows();
  Batch batch = query(fmt::format("COPY (SELECT sim_rows({})) TO STDOUT {}", count, token.comment()));
  add_token(batch, token);
  batch.steps.push_back({.type = 'H'});
  for (int i = 1; i <= count; ++i)
    batch.steps.push_back({.type = 'd', .row = {fmt::format("{}#{}\n", token.text(), i)}});
  batch.steps.push_back({.type = 'c'});
  add_tag(batch, fmt::format("COPY {}", count));
  add_ready(batch);
  return batch;
}

// ---------------------------------------------------------------- extended protocol

Batch WorkPlan::only_sync() {
  Batch batch{.bytes = kSync};
  add_ready(batch);
  return batch;
}

Batch WorkPlan::pipeline() {
  Batch batch;
  bool works = true;
  for (auto left = 1 + random_.below(percent() < 20 ? 10 : 2); left > 0; --left) {
    if (!works) {  // sent all the same, and skipped
      const Token token = new_token();
      batch.bytes += parse("", echo_text("skipped")) + bind("", "", token.text()) + execute("");
      batch.tokens.push_back(token);
      batch.succeeds.push_back(false);
    } else if (percent() < 6) {
      add_wrong(batch);
      works = false;
    } else {
      works = options_.named_statements && percent() < 60 ? add_named(batch) : add_extended(batch);
    }
    if (percent() < 10) batch.bytes += kFlush;
  }
  batch.bytes += kSync;
  add_ready(batch);
  return batch;
}

// An unnamed statement. False when it fails.
bool WorkPlan::add_extended(Batch& batch) {
  const Token token = new_token();
  const std::string tag = fmt::format("s{}", random_.below(kTags));
  const bool describes = percent() < 70;
  const bool fails = percent() < 6;
  batch.tokens.push_back(token);
  batch.succeeds.push_back(!fails);
  batch.bytes += fails ? parse("", "SELECT sim_fail() " + token.comment()) + bind_plain("", "")
                       : parse("", echo_text(tag)) + bind("", "", token.text());
  if (describes) batch.bytes += describe('P', "");
  batch.bytes += execute("");
  batch.steps.insert(batch.steps.end(), {{.type = '1'}, {.type = '2'}});
  if (describes) batch.steps.push_back({.type = 'T'});
  if (fails) {
    fail_here(batch, "22012");
    return false;
  }
  batch.steps.push_back({.type = 'D', .row = {token.text(), tag}});
  add_tag(batch, "SELECT 1");
  return true;
}

// A named statement: prepared now, or before, or closed.
bool WorkPlan::add_named(Batch& batch) {
  if (prepared_.size() > 6 || (!prepared_.empty() && percent() < 10)) {
    const auto name = prepared_.begin()->first;
    prepared_.erase(name);
    batch.bytes += message('C', "S" + zero_ended(name));
    batch.steps.push_back({.type = '3'});
    return true;
  }
  auto statement = prepared_.begin();
  if (prepared_.empty() || percent() < 25) {
    const std::string tag = fmt::format("s{}", random_.below(kTags));
    statement = prepared_.emplace(fmt::format("stmt{}", ++last_name_), tag).first;
    batch.bytes += parse(statement->first, echo_text(tag));
    batch.steps.push_back({.type = '1'});
    if (percent() < 30) {
      batch.bytes += describe('S', statement->first);
      batch.steps.insert(batch.steps.end(), {{.type = 't'}, {.type = 'T'}});
    }
  } else {
    std::advance(statement, random_.below(prepared_.size()));
  }
  const Token token = new_token();
  add_token(batch, token);
  batch.bytes += bind("", statement->first, token.text()) + execute("");
  batch.steps.insert(batch.steps.end(),
                     {{.type = '2'}, {.type = 'D', .row = {token.text(), statement->second}}});
  add_tag(batch, "SELECT 1");
  return true;
}

// Something Postgres refuses: a statement that is not there, or one that is there already.
void WorkPlan::add_wrong(Batch& batch) {
  if (!prepared_.empty() && percent() < 50) {
    batch.bytes += parse(prepared_.begin()->first, echo_text("again"));
    return fail_here(batch, "42P05");
  }
  batch.bytes += bind_plain("", "never prepared");
  fail_here(batch, "26000");
}

// A portal fetched in parts inside a transaction, each part asked for with Flush.
Batch WorkPlan::portal_in_parts() {
  if (status_ != 'T') return control();
  const Token token = new_token();
  const int count = 1 + rows();
  const int part = 1 + static_cast<int>(random_.below(10));
  Batch batch{.alone = true, .synced = false};
  add_token(batch, token);
  batch.bytes = parse("", fmt::format("SELECT sim_rows($1, {})", count)) + bind("cursor", "", token.text()) +
                execute("cursor", part) + kFlush;
  batch.steps = {{.type = '1'}, {.type = '2'}};
  int sent = 0;
  while (count - sent >= part) {
    add_rows(batch, token, sent + 1, sent + part);
    sent += part;
    batch.steps.push_back({.type = 's', .then_send = execute("cursor", part) + kFlush});
    // An application may lose interest.
    if (percent() < 10) {
      batch.steps.back().then_send = message('C', "P" + zero_ended("cursor")) + kSync;
      batch.steps.push_back({.type = '3'});
      add_ready(batch);
      return batch;
    }
  }
  add_rows(batch, token, sent + 1, count);
  add_tag(batch, fmt::format("SELECT {}", count - sent));
  batch.steps.back().then_send = message('C', "P" + zero_ended("cursor")) + kSync;
  batch.steps.push_back({.type = '3'});
  add_ready(batch);
  return batch;
}

}  // namespace penstock::sim
