// Login: from the first byte of a connection to "ready for query", or to a clear refusal.
//
// Start-up packets, TLS, which tenant is meant, who the client is, the limits, and the greeting with the
// server's true parameters. Read run() from top to bottom.
//
// Owner:      a Session, while it logs in.
// Home:       LOOP
// Waits:      client_login_timeout for what the client must say; for a server, query_wait_timeout, and
//             client_login_timeout once more for its answer.
// Errors:     FATAL to the client with the SQLSTATE that Postgres would use; unknown tenants and users look
//             like wrong passwords.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/task.h"
#include "session/session.h"
#include "tls/tls_stream.h"
#include "upstream/message_reader.h"

namespace penstock::session {

class Login {
 public:
  struct Outcome {
    io::StreamPtr stream;  // null: there is no session; it has been told why
    std::vector<io::Chunk> received;
    std::string reason;
    Identity identity;
    std::shared_ptr<pool::Pool> pool;
    upstream::SettingsPtr settings;
    bool provisional = false;  // no server has been asked: only what the client wants is in `settings`
    std::uint32_t cancel_id = 0;
    pool::Reservation reservation;
  };

  Login(SessionHome& home, Session& session, io::StreamPtr stream, Entrance entrance);
  void start();
  Outcome take_outcome() { return std::move(outcome_); }
  // The server stops: the client is told, if there is one to tell.
  void refuse(const base::Error& error);

 private:
  io::Task<> run();
  io::Task<base::Result<pgwire::StartupMessage>> read_startup();
  io::Task<base::Status> become_encrypted(bool direct);
  io::Task<> serve_cancel(pgwire::CancelRequest request);
  // --- to which tenant, and whether anybody may come in from there (login_tenant.cc) ---
  base::Status choose_tenant();
  base::Status refuse_banned_address();
  std::string_view client_address() const;
  LoginBans::Policy ban_policy() const;
  void note_wrong_password();
  base::Error wrong_password();

  // --- what the client must know (login_secrets.cc) ---
  enum class Fit { kYes, kNo, kCannotTell };
  using Fits = std::function<Fit(const auth::Secret&)>;
  io::Task<base::Status> look_up();
  io::Task<base::Result<std::vector<auth::Secret>>> find_secrets();
  bool is_as_looked_up() const;
  io::Task<base::Status> look_up_again();
  Fit try_secrets(const Fits& fits);
  io::Task<base::Status> check_proof(Fits fits);

  // --- who is it (login_auth.cc) ---
  io::Task<base::Status> authenticate();
  io::Task<base::Result<pgwire::Message>> client_answer();
  model::AuthMethod auth_method() const;
  bool can_do_md5() const;
  io::Task<base::Status> authenticate_scram();
  io::Task<base::Status> scram_exchange(auth::ScramServer& scram);
  io::Task<base::Status> authenticate_md5();
  io::Task<base::Status> authenticate_password();
  base::Status authenticate_certificate();
  base::Status authenticate_peer();

  base::Status reserve();
  io::Task<base::Status> wait_for_turn();
  io::Task<base::Status> find_pool(const pgwire::StartupMessage& startup);
  base::Result<pool::PoolConfigPtr> plan_pool(const pgwire::StartupMessage& startup);
  io::Task<std::shared_ptr<pool::Pool>> make_pool(std::string key, pool::PoolConfigPtr config);
  std::optional<auth::Secret> asked_secret() const;
  void settle_terms();
  io::Task<base::Status> settle_settings(const pgwire::StartupMessage& startup);
  // What the server is to be told; wished_idle_ is not.
  base::Result<pgwire::Parameters> requested_settings(const pgwire::StartupMessage& startup);
  void greet();

  static base::Error quiet_unless_late(base::Error error);
  std::string reason_for_log(const base::Error& error) const;
  tls::TlsStream* tls_stream() const;
  upstream::MessageReader& reader() { return *reader_; }
  void send(const base::ByteWriter& bytes) { reader_->write(bytes); }

  SessionHome& home_;
  Session& session_;
  Entrance entrance_;
  Instructions
      instructions_;  // settings and TLS as they were when the client came; the catalog of the last look_up()
  std::unique_ptr<upstream::MessageReader> reader_;
  base::TimePoint deadline_;
  const pgwire::StartupMessage* startup_ = nullptr;  // on run()'s frame
  io::Task<> task_;

  catalog::Resolved resolved_;
  const model::UserSpec* user_ = nullptr;  // in resolved_.tenant; null: not listed
  std::string server_name_;
  std::string stated_user_;            // as the client wrote it, with the tenant; md5 answers depend on it
  std::string counted_tenant_;         // the one that wrong passwords count for, whether or not it exists
  std::string face_;                   // tenant and user, as the client states them
  std::string private_reason_;         // of a refusal: for our log, never for the client
  std::vector<auth::Secret> secrets_;  // one of which the client must prove to know; newest first
  bool secret_was_queried_ = false;
  bool secret_is_unknown_ = false;  // auth_query has failed: no password can be called wrong
  bool by_previous_secret_ = false;
  bool takes_turns_ = false;  // there are verifiers of which one exchange checks one
  bool is_banned_ = false;
  std::optional<auth::ScramKeys> keys_;       // shown by the client's own log-in
  std::chrono::milliseconds wished_idle_{0};  // the idle_session_timeout that the client has asked for
  Outcome outcome_;
};

}  // namespace penstock::session
