// The secrets that a client may prove to know, and what happens when none of them fits.
#include <algorithm>

#include "catalog/timestamp.h"
#include "session/auth_query.h"
#include "session/login.h"

namespace penstock::session {

namespace {

bool same_texts(const std::vector<auth::Secret>& a, const std::vector<auth::Secret>& b) {
  const auto text = [](const auth::Secret& secret) { return secret.to_string(); };
  return std::ranges::equal(a, b, {}, text, text);
}

}  // namespace

// Newest first; from the catalog, or for users and secrets that it does not hold, from the server.
io::Task<base::Result<std::vector<auth::Secret>>> Login::find_secrets() {
  std::vector<auth::Secret> secrets;
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
  if (!text) co_return base::fail(std::move(text.error()));
  secret_was_queried_ = true;
  if (text->has_value()) secrets.push_back(auth::Secret::parse(**text));
  co_return secrets;
}

// Whether catalog or server have other secrets than those that did not fit. Unknown tenants and users take the same way.
io::Task<base::Result<bool>> Login::read_secrets_again() {
  co_await home_.catalog_reread.once_more();
  if (home_.instructions.catalog != instructions_.catalog) {
    instructions_.catalog = home_.instructions.catalog;
    if (auto chosen = choose_tenant(); !chosen) co_return base::fail(std::move(chosen.error()));
  }
  if (secret_was_queried_) {
    home_.auth_query.doubt(*resolved_.tenant, outcome_.identity.user, home_.loop.now());
  }
  auto secrets = co_await find_secrets();
  if (!secrets || same_texts(*secrets, secrets_)) co_return false;
  secrets_ = std::move(*secrets);
  co_return true;
}

bool Login::try_secrets(Fits& fits) {
  for (const auth::Secret& secret : secrets_) {
    if (!fits(secret)) continue;
    by_previous_secret_ = &secret != &secrets_.front();
    return true;
  }
  return false;
}

// The client has shown its proof: it fits one of the secrets, or one that has come since; or it is refused.
io::Task<base::Status> Login::check_proof(Fits fits) {
  if (try_secrets(fits)) co_return base::Status{};
  const auto changed = co_await read_secrets_again();
  if (!changed) co_return base::fail(changed.error());
  if (*changed && try_secrets(fits)) co_return base::Status{};
  // With another secret to ask for, the next attempt may well succeed.
  if (!*changed && !takes_turns_) note_wrong_password();
  co_return base::fail(wrong_password());
}

}  // namespace penstock::session
