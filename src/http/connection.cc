// One client, from accept to close, as a coroutine per connection. Read serve() from top to bottom.
#include <fmt/format.h>

#include "base/version.h"
#include "http/server_state.h"
#include "telemetry/log.h"
#include "tls/certificate.h"

namespace penstock::http {

namespace log = telemetry::log;

namespace {

namespace proto = beast::http;
using boost::system::error_code;
using Parser = proto::request_parser<proto::string_body>;

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kLingerBytesMax = 16 * 1024 * 1024;
constexpr std::chrono::seconds kLinger{2};
// Between two parts of a body: however long one of them took.
constexpr std::chrono::milliseconds kRestMax{5};

// Waits on the loop for a handler that may answer from any thread.
struct Pending {
  explicit Pending(asio::io_context& loop) : io(loop), alarm(loop) {}
  asio::io_context& io;
  asio::steady_timer alarm;
  std::optional<Response> response;
};

// Gives the answer to the waiting coroutine; answers 500 when it dies without one.
class Answerer {
 public:
  explicit Answerer(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
  Answerer(Answerer&&) noexcept = default;
  Answerer& operator=(Answerer&&) = delete;
  ~Answerer() {
    if (pending_ != nullptr) (*this)(plain_error(500, "Internal Server Error"));
  }
  void operator()(Response response) {
    if (pending_ == nullptr) return;
    asio::io_context& io = pending_->io;
    asio::post(io, [pending = std::exchange(pending_, nullptr), response = std::move(response)]() mutable {
      pending->response = std::move(response);
      pending->alarm.cancel();
    });
  }
  static Response plain_error(int status, std::string_view title, std::string_view detail = {}) {
    std::string body = fmt::format(R"({{"type":"about:blank","title":"{}","status":{})", title, status);
    if (!detail.empty()) body += fmt::format(R"(,"detail":"{}")", detail);
    return {.status = status, .content_type = "application/problem+json", .body = body + "}"};
  }

 private:
  std::shared_ptr<Pending> pending_;
};

Request take_request(Parser& parser) {
  auto message = parser.release();
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

// What a request that could not be read is answered; nothing when there is nobody to answer.
std::optional<Response> answer_to(const error_code& error) {
  if (error == proto::error::header_limit || error == proto::error::buffer_overflow ||
      error == proto::error::need_more) {
    return Answerer::plain_error(431, "Request Header Fields Too Large", "The header is too long.");
  }
  if (error == proto::error::body_limit) {
    return Answerer::plain_error(413, "Content Too Large", "The body is too long.");
  }
  const bool is_ours = error == proto::error::end_of_stream || error == proto::error::partial_message;
  if (is_ours || error.category() != proto::make_error_code(proto::error::bad_method).category()) {
    return std::nullopt;
  }
  return Answerer::plain_error(400, "Bad Request", "This is not an HTTP request.");
}

template <class Stream>
class Conversation final : public Connection {
 public:
  static constexpr bool kEncrypted = !std::is_same_v<Stream, beast::tcp_stream>;

  Conversation(Server::State& state, Stream& stream) : state_(state), stream_(stream) {}

  void close() override {
    error_code ignored;
    lowest().socket().close(ignored);
  }

  asio::awaitable<void> serve() {
    describe_peer();
    for (;;) {
      enter(Stage::kReceiving);
      if (!co_await wait_for_bytes()) co_return;
      Parser parser;
      parser.header_limit(static_cast<std::uint32_t>(state_.limits.header_bytes_max));
      parser.body_limit(state_.limits.body_bytes_max);
      const error_code error = co_await read(parser);
      if (error) {
        if (const auto answer = answer_to(error)) co_await refuse(*answer);
        co_return;
      }
      ++state_.counts.requests;
      const bool is_head = parser.get().method() == proto::verb::head;
      const unsigned version = parser.get().version();
      const bool keep = parser.keep_alive();
      enter(Stage::kWorking);
      const Response response = co_await handle(take_request(parser));
      enter(Stage::kSending);
      if (!co_await write(response,
                          {.version = version, .keep = keep && !state_.is_stopped, .head = is_head})) {
        co_return;
      }
      if (!keep || state_.is_stopped) co_return;
    }
  }

 private:
  struct Manner {
    unsigned version;
    bool keep;
    bool head;
  };

  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }

  void describe_peer() {
    error_code error;
    const auto endpoint = lowest().socket().remote_endpoint(error);
    if (!error) {
      auto address = endpoint.address();
      if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
      }
      peer_ = address.to_string();
    }
    if constexpr (kEncrypted) {
      X509* certificate = SSL_get1_peer_certificate(stream_.native_handle());
      if (certificate == nullptr) return;
      client_name_ = tls::describe(*certificate).common_name;
      X509_free(certificate);
    }
  }

  // An idle connection may wait long; a request, once begun, may not.
  asio::awaitable<bool> wait_for_bytes() {
    if (buffer_.size() > 0) co_return true;
    lowest().expires_after(state_.limits.idle_timeout);
    const auto [error, size] = co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kAwait);
    if (error) co_return false;
    buffer_.commit(size);
    co_return true;
  }

  asio::awaitable<error_code> read(Parser& parser) {
    lowest().expires_after(state_.limits.header_timeout);
    const auto [head_error, head_size] = co_await proto::async_read_header(stream_, buffer_, parser, kAwait);
    if (head_error) co_return head_error;
    lowest().expires_after(state_.limits.body_timeout);
    if (beast::iequals(parser.get()[proto::field::expect], "100-continue")) {
      proto::response<proto::empty_body> go_on(proto::status::continue_, parser.get().version());
      const auto [error, size] = co_await proto::async_write(stream_, go_on, kAwait);
      if (error) co_return error;
    }
    const auto [error, size] = co_await proto::async_read(stream_, buffer_, parser, kAwait);
    co_return error;
  }

  asio::awaitable<Response> handle(Request request) {
    request.peer = peer_;
    request.is_encrypted = kEncrypted;
    request.client_name = client_name_;
    lowest().expires_never();
    auto pending = std::make_shared<Pending>(state_.io);
    pending->alarm.expires_after(state_.limits.answer_timeout);
    call_handler(std::move(request), pending);
    (void)co_await pending->alarm.async_wait(kAwait);
    if (pending->response) co_return std::move(*pending->response);
    co_return Answerer::plain_error(503, "Service Unavailable", "The answer took too long.");
  }

  // Libraries above throw; what nobody foresaw costs this client a 500 and nothing else.
  void call_handler(Request request, const std::shared_ptr<Pending>& pending) {
    const std::string target = request.target;
    try {
      state_.handler(std::move(request), Answerer(pending));
    } catch (const std::exception& error) {
      log::error("api.failed", {{"target", target}, {"error", error.what()}},
                 "a request could not be answered");
    }
  }

  template <class Body>
  proto::response<Body> head_of(const Response& response, Manner manner) {
    proto::response<Body> answer(static_cast<proto::status>(response.status), manner.version);
    for (const auto& [name, value] : response.headers) answer.insert(name, value);
    answer.set(proto::field::server, "penstock");
    if (!response.content_type.empty()) answer.set(proto::field::content_type, response.content_type);
    answer.keep_alive(manner.keep);
    return answer;
  }

  asio::awaitable<bool> write(const Response& response, Manner manner) {
    if (response.parts != nullptr) co_return co_await write_parts(response, manner);
    const std::string_view content = response.content();
    auto answer = head_of<proto::span_body<const char>>(response, manner);
    const bool has_length = response.status != 204 && response.status != 304;
    if (has_length) answer.content_length(content.size());
    if (has_length && !manner.head) answer.body() = {content.data(), content.size()};
    proto::response_serializer<proto::span_body<const char>> serializer(answer);
    if (manner.head) serializer.split(true);
    while (!serializer.is_done() && !(manner.head && serializer.is_header_done())) {
      lowest().expires_after(state_.limits.write_timeout);
      const auto [error, size] = co_await proto::async_write_some(stream_, serializer, kAwait);
      if (error) co_return false;
    }
    co_return true;
  }

  // In chunks; who speaks HTTP/1.0 sees by the close that it is over.
  asio::awaitable<bool> write_parts(const Response& response, Manner manner) {
    const bool is_chunked = manner.version >= 11;
    manner.keep = manner.keep && is_chunked;
    auto head = head_of<proto::empty_body>(response, manner);
    if (is_chunked) head.chunked(true);
    proto::response_serializer<proto::empty_body> serializer(head);
    lowest().expires_after(state_.limits.write_timeout);
    const auto [head_error, head_size] = co_await proto::async_write_header(stream_, serializer, kAwait);
    if (head_error) co_return false;
    std::string part;
    for (bool more = !manner.head; more;) {
      part.clear();
      const auto begin = std::chrono::steady_clock::now();
      const auto done = next_part(*response.parts, part);
      if (!done) co_return false;
      more = *done;
      co_await rest(std::chrono::steady_clock::now() - begin);
      if (part.empty()) continue;
      lowest().expires_after(state_.limits.write_timeout);
      const asio::const_buffer bytes(part.data(), part.size());
      if (is_chunked) {
        const auto [error, size] = co_await asio::async_write(stream_, proto::make_chunk(bytes), kAwait);
        if (error) co_return false;
      } else {
        const auto [error, size] = co_await asio::async_write(stream_, bytes, kAwait);
        if (error) co_return false;
      }
    }
    if (!is_chunked) co_return false;
    if (manner.head) co_return true;
    const auto [error, size] = co_await asio::async_write(stream_, proto::make_chunk_last(), kAwait);
    co_return !error;
  }

  // The others' turn, for as long as we have had ours: those of this thread, and the workers where they share a CPU with it.
  asio::awaitable<void> rest(std::chrono::steady_clock::duration worked) {
    asio::steady_timer timer(state_.io, std::min<std::chrono::steady_clock::duration>(worked, kRestMax));
    co_await timer.async_wait(kAwait);
  }

  // Nothing when it failed: what has been sent already cannot be taken back, but the client sees that the end is missing.
  std::optional<bool> next_part(BodyParts& parts, std::string& part) {
    try {
      return parts.next(part);
    } catch (const std::exception& error) {
      log::error("api.failed", {{"error", error.what()}}, "an answer could not be finished");
      return std::nullopt;
    }
  }

  // Tells why, and reads on for a moment: a close with bytes unread would take the answer back.
  asio::awaitable<void> refuse(const Response& answer) {
    if (!co_await write(answer, {.version = 11, .keep = false, .head = false})) co_return;
    error_code ignored;
    if constexpr (!kEncrypted) lowest().socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    lowest().expires_after(kLinger);
    buffer_.clear();
    for (std::size_t total = 0; total < kLingerBytesMax;) {
      const auto [error, size] = co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kAwait);
      if (error) co_return;
      total += size;
    }
  }

  Server::State& state_;
  Stream& stream_;
  beast::flat_buffer buffer_;
  std::string peer_;
  std::string client_name_;
};

// One of `connections_max`, until the conversation is over, however it ends.
class Place {
 public:
  explicit Place(Server::State& state) : state_(state) { ++state_.counts.connections; }
  ~Place() { --state_.counts.connections; }
  Place(const Place&) = delete;

 private:
  Server::State& state_;
};

asio::awaitable<void> converse_plain(Server::State& state, asio::ip::tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  Conversation conversation(state, stream);
  state.connections.push_back(conversation);
  co_await conversation.serve();
}

asio::awaitable<void> converse_encrypted(Server::State& state, asio::ip::tcp::socket socket) {
  SSL_CTX_up_ref(state.tls->native());
  asio::ssl::context context(state.tls->native());  // takes that reference
  asio::ssl::stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), context);
  Conversation conversation(state, stream);
  state.connections.push_back(conversation);
  beast::get_lowest_layer(stream).expires_after(state.limits.handshake_timeout);
  const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) co_return;
  co_await conversation.serve();
  if (!stream.lowest_layer().is_open()) co_return;
  beast::get_lowest_layer(stream).expires_after(kLinger);
  (void)co_await stream.async_shutdown(kAwait);
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

asio::awaitable<void> converse(std::shared_ptr<Server::State> state, asio::ip::tcp::socket socket) {
  const Place place(*state);
  if (state->tls != nullptr) {
    co_await converse_encrypted(*state, std::move(socket));
  } else {
    co_await converse_plain(*state, std::move(socket));
  }
}

}  // namespace penstock::http
