// The secrets that a client may prove to know, and what happens when none of them fits.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/timestamp.h"
#include "session/absence.h"
#include "session/auth_query.h"
#include "session/login.h"

namespace penstock::session {

namespace {

bool same_texts(const std::vector<auth::Secret>& a, const std::vector<auth::Secret>& b) {
  const auto text = [](const auth::Secret& secret) { return secret.to_string(); };
  return std::ranges::equal(a, b, {}, text, text);
}

// For our log: why nobody can say whether the client knows this secret.
std::string_view uncheckable(const auth::Secret& secret) {
  if (secret.kind() != auth::Secret::Kind::kMd5) return "the secret cannot be checked with this method";
  return "the secret is an md5 hash, which scram-sha-256 cannot check: give the user the method md5 (--auth "
         "md5), or "
         "set the password anew";
}

}  // namespace

// Newest first; from the catalog, or for users and secrets that it does not hold, from the server.
io::Task<base::Result<std::vector<auth::Secret>>> Login::find_secrets() {
  std::vector<auth::Secret> secrets;
  private_reason_.clear();
  secret_is_unknown_ = false;
  if (user_ != nullptr && user_->secret.has_value()) {
    secrets.push_back(auth::Secret::parse(*user_->secret));
    const bool is_over =
        user_->previous_secret_until && *user_->previous_secret_until <= catalog::wall_clock_now();
    if (user_->previous_secret.has_value() && !is_over) {
      secrets.push_back(auth::Secret::parse(*user_->previous_secret));
    }
    co_return secrets;
  }
  if (resolved_.tenant->auth_query.empty()) co_return secrets;
  if (user_ == nullptr && resolved_.tenant->require_user) co_return secrets;
  auto text = co_await home_.auth_query.read(home_, resolved_.tenant, outcome_.identity.user,
                                             outcome_.identity.database, deadline_);
  secret_was_queried_ = true;
  if (text && text->has_value()) secrets.push_back(auth::Secret::parse(**text));
  if (text) co_return secrets;
  // What the server says is for our log: nobody has shown yet that he may know which databases there are.
  private_reason_ = "auth_query: " + Session::text_for_log(text.error());
  if (is_absence(text.error())) {
    co_return base::fail(
        base::kConnectionFailure,
        fmt::format("the password of user \"{}\" cannot be checked at the moment", stated_user_), "",
        "Try again later.");
  }
  secret_is_unknown_ = text.error().sqlstate != base::kInvalidCatalogName;
  co_return secrets;
}

// To which tenant, as whom, and what must be shown for it: by what catalog and server say now, whatever they said before.
io::Task<base::Status> Login::look_up() {
  instructions_.catalog = home_.instructions.catalog;
  if (auto chosen = choose_tenant(); !chosen) co_return chosen;
  auto secrets = co_await find_secrets();
  if (!secrets) co_return base::fail(std::move(secrets.error()));
  secrets_ = std::move(*secrets);
  if (secrets_.empty() && private_reason_.empty()) {
    private_reason_ = user_ == nullptr ? "there is no such user" : "the user has no secret";
  }
  co_return base::Status{};
}

// Users without a secret, those who do not exist among them, are to be refused like those who guess.
Login::Fit Login::try_secrets(const Fits& fits) {
  Fit result = secrets_.empty() ? Fit::kNo : Fit::kCannotTell;
  for (const auth::Secret& secret : secrets_) {
    const Fit fit = fits(secret);
    if (fit == Fit::kNo) result = Fit::kNo;
    if (fit != Fit::kYes) continue;
    by_previous_secret_ = &secret != &secrets_.front();
    return Fit::kYes;
  }
  return result;
}

// Nothing that look_up() goes by can have changed. Two secrets: one of them ends at a time.
bool Login::is_as_looked_up() const {
  return instructions_.catalog == home_.instructions.catalog && !secret_was_queried_ && secrets_.size() < 2;
}

// The proof has come, and is checked by what is true now: much may have changed since the client was asked for it, and
// others may have guessed from there meanwhile.
io::Task<base::Status> Login::look_up_again() {
  base::Status status;
  if (is_as_looked_up()) {
    status = refuse_banned_address();
  } else {
    status = co_await look_up();
  }
  while (status &&
         !home_.login_bans.may_guess(counted_tenant_, client_address(), ban_policy(), home_.loop.now())) {
    if (home_.loop.now() >= deadline_) {
      co_return base::fail(base::kConnectionFailure, std::string(upstream::kTimeoutExpired));
    }
    co_await home_.catalog_reread.once_more();  // then more is known of the others
    status = co_await look_up();
  }
  co_return status;
}

// The client has shown its proof: it fits one of the secrets, or one that has come since; or it is refused.
io::Task<base::Status> Login::check_proof(Fits fits) {
  const std::vector<auth::Secret> asked = secrets_;
  if (auto known = co_await look_up_again(); !known) co_return known;
  Fit fit = try_secrets(fits);
  if (fit == Fit::kYes) co_return base::Status{};
  const LoginBans::Doubt doubt(home_.login_bans, counted_tenant_, client_address(), ban_policy(),
                               home_.loop.now());
  const std::vector<auth::Secret> tried = secrets_;
  co_await home_.catalog_reread.once_more();  // unknown tenants and users take the same way
  if (secret_was_queried_) {
    home_.auth_query.doubt(*resolved_.tenant, outcome_.identity.user, outcome_.identity.database,
                           home_.loop.now());
  }
  if (auto known = co_await look_up(); !known) co_return known;
  if (!same_texts(tried, secrets_)) fit = try_secrets(fits);
  if (fit == Fit::kYes) co_return base::Status{};
  if (fit == Fit::kCannotTell && private_reason_.empty()) private_reason_ = uncheckable(secrets_.front());
  // With another secret to ask for, the next attempt may well succeed.
  const bool is_wrong = same_texts(asked, secrets_) && !secret_is_unknown_ && fit == Fit::kNo;
  if (is_wrong && !takes_turns_) note_wrong_password();
  co_return base::fail(wrong_password());
}

}  // namespace penstock::session
