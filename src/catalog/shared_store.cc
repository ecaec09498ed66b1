#include "catalog/shared_store.h"

#include <fmt/format.h>
#include <poll.h>         // HOUSE(syscall): an event that ends the watching thread's waits
#include <sys/eventfd.h>  // HOUSE(syscall): an event that ends the watching thread's waits
#include <unistd.h>       // HOUSE(syscall): an event that ends the watching thread's waits

#include <algorithm>
#include <filesystem>

#include "catalog/sqlite_store.h"
#include "telemetry/log.h"

namespace penstock::catalog {

namespace log = telemetry::log;

namespace {

constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{30'000};
// A catalog of many tenants that changes all the time is not copied all the time.
constexpr std::chrono::seconds kCopyEvery{2};

// The database is not there or not ready; it is not that we are unwelcome.
bool is_out_of_reach(const base::Error& error) {
  const std::string_view kind = error.sqlstate.category();
  return kind == "08" || kind == "57" || kind == "53";
}

// `known` with those of the changes that it does not have yet. Its version stays: the rest is still to be read.
model::SnapshotPtr with_newer(const model::SnapshotPtr& known, std::span<const Edited> changes) {
  std::vector<model::TenantChange> newer = changes_of(changes);
  std::erase_if(newer, [&](const model::TenantChange& change) {
    return change.tenant != nullptr && known->revision_of(change.id).number >= change.revision.number;
  });
  return newer.empty() ? known : known->with(newer, known->version());
}

}  // namespace

// Readable from set() on.
class SharedStore::StopEvent {
 public:
  StopEvent() : descriptor_(::eventfd(0, EFD_CLOEXEC)) {}
  ~StopEvent() { ::close(descriptor_); }
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;

  int descriptor() const { return descriptor_; }
  void set() { (void)::eventfd_write(descriptor_, 1); }
  // Whether it was set within that time.
  bool wait(std::chrono::milliseconds timeout) const {
    pollfd entry{.fd = descriptor_, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
  }

 private:
  int descriptor_;
};

SharedStore::SharedStore(Options options)
    : options_(std::move(options)), stop_(std::make_unique<StopEvent>()) {}

SharedStore::~SharedStore() {
  stop_->set();
  if (watch_.joinable()) watch_.join();
}

base::Result<std::unique_ptr<SharedStore>> SharedStore::open(Options options) {
  std::unique_ptr<SharedStore> store(new SharedStore(std::move(options)));
  base::Result<std::unique_ptr<PostgresStore>> editor = PostgresStore::open(store->options_.postgres);
  base::Result<model::SnapshotPtr> first =
      editor ? (*editor)->load() : base::Result<model::SnapshotPtr>(base::fail(editor.error()));
  if (editor) store->editor_ = *std::move(editor);
  if (!first) {
    const std::string& copy = store->options_.copy_file;
    std::error_code ignored;
    if (copy.empty() || !is_out_of_reach(first.error()) || !std::filesystem::exists(copy, ignored)) {
      return base::fail(first.error());
    }
    const base::Error why = first.error();
    auto file = SqliteStore::open({.path = copy,
                                   .default_tenant = store->options_.postgres.default_tenant,
                                   .create = false,
                                   .keys = store->options_.postgres.keys});
    first = file ? (*file)->load() : base::Result<model::SnapshotPtr>(base::fail(file.error()));
    if (!first) return base::fail(first.error());
    log::warning("catalog.copy", {{"copy", copy}, {"tenants", (*first)->size()}, {"error", why.message}},
                 "the catalog database is out of reach; starting with the local copy");
    store->trouble_ = why;
  }
  store->latest_ = store->given_ = *first;
  store->watch_ = std::thread([raw = store.get()] { raw->watch(); });
  return store;
}

// --- the control thread ---

base::Result<model::SnapshotPtr> SharedStore::load(const model::SnapshotPtr& known) {
  if (known == nullptr && editor_ != nullptr) {  // asked to read anew
    if (const base::Status status = follow_own({}); !status) return base::fail(status.error());
  }
  const std::lock_guard lock(mutex_);
  given_ = latest_;
  return latest_;
}

base::Result<bool> SharedStore::changed_since(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  // Before the first contact the state is the copy's; what differs is not lost, it comes with the contact.
  if (latest_ != given_ || latest_->version() != version) return true;
  if (trouble_) return base::fail(*trouble_);
  return false;
}

base::Result<std::uint64_t> SharedStore::version() {
  const std::lock_guard lock(mutex_);
  return latest_->version();
}

base::Result<PostgresStore*> SharedStore::editor() {
  {
    const std::lock_guard lock(mutex_);
    // A record that cannot be read is no reason: it may be what is to be mended.
    if (trouble_ && trouble_->sqlstate != base::kConfigFileError) return base::fail(*trouble_);
  }
  if (editor_ == nullptr) {
    base::Result<std::unique_ptr<PostgresStore>> opened = PostgresStore::open(options_.postgres);
    if (!opened) return base::fail(opened.error());
    editor_ = *std::move(opened);
  }
  return editor_.get();
}

// What was stored here is to be seen here at once, whatever the watching thread is doing.
base::Status SharedStore::follow_own(std::span<const Edited> changes) {
  while (true) {
    model::SnapshotPtr known;
    std::optional<base::Error> trouble;
    {
      const std::lock_guard lock(mutex_);
      known = latest_;
      trouble = trouble_;
    }
    base::Result<model::SnapshotPtr> fresh =
        trouble ? base::Result<model::SnapshotPtr>(base::fail(*trouble)) : editor_->load(known);
    // The watching thread will have the rest.
    if (replace(known, fresh ? *fresh : with_newer(known, changes))) {
      return fresh ? base::Status() : base::fail(fresh.error());
    }
  }
}

// False: the other thread has been faster, and what was read may be older than what it has put there.
bool SharedStore::replace(const model::SnapshotPtr& known, model::SnapshotPtr fresh) {
  const std::lock_guard lock(mutex_);
  if (latest_ != known) return false;
  latest_ = std::move(fresh);
  return true;
}

base::Result<Edited> SharedStore::edit(std::string_view tenant_id, const Edit& edit,
                                       const EditOptions& options) {
  const base::Result<PostgresStore*> editor = this->editor();
  if (!editor) return base::fail(editor.error());
  base::Result<Edited> edited = (*editor)->edit(tenant_id, edit, options);
  if (edited && edited->changed() && options.effect == Effect::kStored) (void)follow_own({&*edited, 1});
  return edited;
}

base::Result<std::vector<Edited>> SharedStore::edit_all(const EditAll& edit, const EditOptions& options) {
  const base::Result<PostgresStore*> editor = this->editor();
  if (!editor) return base::fail(editor.error());
  base::Result<std::vector<Edited>> edited = (*editor)->edit_all(edit, options);
  if (edited && !edited->empty() && options.effect == Effect::kStored) (void)follow_own(*edited);
  return edited;
}

base::Result<std::vector<AuditEntry>> SharedStore::audit(const AuditQuery& query) {
  const base::Result<PostgresStore*> editor = this->editor();
  if (!editor) return base::fail(editor.error());
  return (*editor)->audit(query);
}

base::Status SharedStore::note(AuditEntry entry) {
  const base::Result<PostgresStore*> editor = this->editor();
  if (!editor) return base::fail(editor.error());
  return (*editor)->note(std::move(entry));
}

base::Result<SealReport> SharedStore::seals() {
  const base::Result<PostgresStore*> editor = this->editor();
  if (!editor) return base::fail(editor.error());
  return (*editor)->seals();
}

void SharedStore::on_change(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

// --- the watching thread ---

void SharedStore::wake() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    call = wake_;
  }
  if (call) call();
}

void SharedStore::note(std::optional<base::Error> trouble) {
  {
    const std::lock_guard lock(mutex_);
    if (trouble_.has_value() == trouble.has_value() && (!trouble || trouble_->message == trouble->message)) {
      return;
    }
    trouble_ = std::move(trouble);
  }
  wake();
}

void SharedStore::watch() {
  base::SystemRandom random;
  std::chrono::milliseconds pause = kFirstPause;
  while (true) {
    const base::Status status = watch_once();
    if (stop_->wait(std::chrono::milliseconds(0))) return;
    if (status) {
      pause = kFirstPause;
      continue;
    }
    note(status.error());
    const auto jitter =
        std::chrono::milliseconds(random.below(static_cast<std::uint64_t>(pause.count() / 2)));
    if (stop_->wait(pause / 2 + jitter)) return;
    pause = std::min(2 * pause, kLongestPause);
  }
}

// Connected, up to date, and then one wait.
base::Status SharedStore::watch_once() {
  if (reader_ == nullptr) {
    PostgresStore::Options options = options_.postgres;
    options.stop_event = stop_->descriptor();
    options.patience_with_locks.reset();  // nobody waits for this thread
    base::Result<std::unique_ptr<PostgresStore>> opened = PostgresStore::open(std::move(options));
    if (!opened) return base::fail(opened.error());
    reader_ = *std::move(opened);
  }
  // First listen, then look: nothing falls between.
  if (const base::Status status = reader_->listen(); !status) return status;
  if (const base::Status status = take_changes(); !status) return status;
  note(std::nullopt);
  copy_if_due();
  bool has_more = false;
  {
    const std::lock_guard lock(mutex_);
    has_more = !options_.copy_file.empty() && copied_version_ != latest_->version() && !copy_failed_;
  }
  const auto awaited = reader_->await_change(has_more ? kCopyEvery : options_.poll_every);
  if (!awaited) return base::fail(awaited.error());
  return {};
}

base::Status SharedStore::take_changes() {
  while (true) {
    model::SnapshotPtr known;
    bool was_down = false;
    {
      const std::lock_guard lock(mutex_);
      known = latest_;
      was_down = trouble_.has_value();
    }
    // After a pause it may be another database, in which the same numbers mean other things.
    const base::Result<bool> changed = reader_->changed_since(known->version());
    if (!changed) return base::fail(changed.error());
    if (!*changed && !was_down) return {};
    base::Result<model::SnapshotPtr> fresh = reader_->load(was_down ? nullptr : known);
    if (!fresh) return base::fail(fresh.error());
    if (!replace(known, *std::move(fresh))) continue;
    wake();
    return {};
  }
}

void SharedStore::copy_if_due() {
  if (options_.copy_file.empty()) return;
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    version = latest_->version();
  }
  const auto now = std::chrono::steady_clock::now();
  if (version == copied_version_ || now < next_copy_) return;
  next_copy_ = now + kCopyEvery;
  const base::Status status = reader_->copy_to(options_.copy_file);
  if (status) {
    copied_version_ = version;
  } else if (!copy_failed_ && status.error().sqlstate != base::kAdminShutdown) {
    log::warning("catalog.copy", {{"copy", options_.copy_file}, {"error", status.error().message}},
                 "the local copy of the catalog cannot be written");
  }
  copy_failed_ = !status;
}

}  // namespace penstock::catalog
