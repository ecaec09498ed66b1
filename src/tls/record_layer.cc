#include "tls/record_layer.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"

namespace penstock::tls {

namespace {

constexpr std::uint8_t kAlert = SSL3_RT_ALERT;
constexpr std::uint8_t kHandshake = SSL3_RT_HANDSHAKE;
constexpr std::uint8_t kApplicationData = SSL3_RT_APPLICATION_DATA;

constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kSealedMax = RecordLayer::kReadRoom - kHeaderBytes;
constexpr std::size_t kSealedMin = 1 + kAeadTagBytes;  // a type and nothing else

std::array<std::uint8_t, kHeaderBytes> header_of(std::size_t sealed_bytes) {
  // Since TLS 1.3 every record looks like data of TLS 1.2.
  return {kApplicationData, 3, 3, static_cast<std::uint8_t>(sealed_bytes >> 8),
          static_cast<std::uint8_t>(sealed_bytes)};
}

std::size_t record_bytes(base::ByteView header) {
  return kHeaderBytes + base::load_be16(header.data() + 3);
}

}  // namespace

RecordLayer::RecordLayer(const Start& start, std::uint64_t records_per_key)
    : read_key_(start.suite, start.read_secret, 0),
      write_key_(start.suite, start.write_secret, start.records_written),
      records_per_key_(records_per_key) {}

base::Result<PlainRead> RecordLayer::read(base::ByteView& input, std::span<std::uint8_t> out,
                                          EncryptedOutput& output) {
  while (!ended_) {
    const auto record = next_record(input, output);
    if (!record) return base::fail(record.error());
    if (record->empty()) return PlainRead{.kind = PlainRead::Kind::kNeedsMore};
    if (out.size() < record->size()) return PlainRead{.kind = PlainRead::Kind::kNeedsRoom};
    const auto inner = decrypt(*record, out, output);
    if (!inner) return base::fail(inner.error());
    consume(*record, input);

    const std::uint8_t type = inner->back();
    const base::ByteView content = inner->first(inner->size() - 1);
    base::Status done;
    if (type == kApplicationData && key_update_bytes_ == 0) {
      if (!content.empty()) return PlainRead{.kind = PlainRead::Kind::kData, .size = content.size()};
    } else if (type == kAlert && key_update_bytes_ == 0) {
      done = on_alert(content, output);
    } else if (type == kHandshake) {
      done = on_handshake(content, output);
    } else {
      done = fail(SSL_AD_UNEXPECTED_MESSAGE, output);
    }
    if (!done) return base::fail(std::move(done.error()));
  }
  return PlainRead{.kind = PlainRead::Kind::kClosed};
}

// What partial_ lacks of a header, or else of its record.
std::size_t RecordLayer::wanted() const {
  const std::size_t whole = partial_.size() < kHeaderBytes ? kHeaderBytes : record_bytes(partial_);
  return whole - partial_.size();
}

// The next record with its header, in `input` or in partial_, where it stays until it is consumed; empty: there is no
// whole one.
base::Result<base::ByteView> RecordLayer::next_record(base::ByteView& input, EncryptedOutput& output) {
  while (true) {
    const base::ByteView begun = partial_.empty() ? input : base::ByteView(partial_);
    if (begun.size() >= kHeaderBytes) {
      const std::size_t sealed = record_bytes(begun) - kHeaderBytes;
      if (begun[0] != kApplicationData) return fail(SSL_AD_UNEXPECTED_MESSAGE, output);
      if (base::load_be16(begun.data() + 1) != TLS1_2_VERSION) return fail(SSL_AD_DECODE_ERROR, output);
      if (sealed > kSealedMax) return fail(SSL_AD_RECORD_OVERFLOW, output);
      if (begun.size() >= kHeaderBytes + sealed) {
        if (sealed < kSealedMin) return fail(SSL_AD_BAD_RECORD_MAC, output);
        return begun.first(kHeaderBytes + sealed);
      }
    }
    if (input.empty()) return base::ByteView();
    const std::size_t part = std::min(wanted(), input.size());
    partial_.reserve(partial_.size() + wanted());
    partial_.insert(partial_.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(part));
    input = input.subspan(part);
  }
}

void RecordLayer::consume(base::ByteView record, base::ByteView& input) {
  if (partial_.empty()) {
    input = input.subspan(record.size());
  } else {
    std::vector<std::uint8_t>().swap(partial_);  // gives its memory back
  }
}

// The content and, behind it, its type, which is never zero; what follows is padding.
base::Result<base::ByteView> RecordLayer::decrypt(base::ByteView record, std::span<std::uint8_t> out,
                                                  EncryptedOutput& output) {
  const base::ByteView sealed = record.subspan(kHeaderBytes);
  if (!read_key_.open_next(record.first(kHeaderBytes), sealed, out.data())) {
    return fail(SSL_AD_BAD_RECORD_MAC, output);
  }
  std::size_t size = sealed.size() - kAeadTagBytes;
  while (size > 0 && out[size - 1] == 0) --size;
  if (size == 0) return fail(SSL_AD_UNEXPECTED_MESSAGE, output);
  if (size > kPlainMax + 1) return fail(SSL_AD_RECORD_OVERFLOW, output);
  return out.first(size);
}

base::Status RecordLayer::on_alert(base::ByteView content, EncryptedOutput& output) {
  if (content.size() != 2) return fail(SSL_AD_UNEXPECTED_MESSAGE, output);
  const int description = content[1];  // its level says nothing any more
  if (description == SSL_AD_USER_CANCELLED) return {};
  if (description != SSL_AD_CLOSE_NOTIFY) {
    return base::fail(base::kProtocolViolation,
                      std::string("TLS connection failed: alert ") + SSL_alert_desc_string_long(description));
  }
  ended_ = true;
  return {};
}

// After the handshake a client has nothing to say but that it changes its key. The last byte asks us to do the same.
base::Status RecordLayer::on_handshake(base::ByteView content, EncryptedOutput& output) {
  if (content.empty() || key_update_bytes_ + content.size() > key_update_.size()) {
    return fail(SSL_AD_UNEXPECTED_MESSAGE, output);
  }
  std::ranges::copy(content, key_update_.begin() + key_update_bytes_);
  key_update_bytes_ = static_cast<std::uint8_t>(key_update_bytes_ + content.size());
  static constexpr std::array<std::uint8_t, 4> kExpected = {SSL3_MT_KEY_UPDATE, 0, 0, 1};
  if (key_update_bytes_ >= kExpected.size() &&
      !std::ranges::equal(kExpected, std::span(key_update_).first<4>())) {
    return fail(SSL_AD_UNEXPECTED_MESSAGE, output);
  }
  if (key_update_bytes_ < key_update_.size()) return {};
  key_update_bytes_ = 0;
  const std::uint8_t wanted = key_update_.back();
  if (wanted > SSL_KEY_UPDATE_REQUESTED) return fail(SSL_AD_ILLEGAL_PARAMETER, output);
  read_key_.update();
  if (wanted == SSL_KEY_UPDATE_REQUESTED) update_write_key(output);
  return {};
}

void RecordLayer::write(base::ByteView plain, EncryptedOutput& output) {
  while (!plain.empty()) {
    if (write_key_.sequence() >= records_per_key_) update_write_key(output);
    const std::size_t part = std::min(plain.size(), kPlainMax);
    write_record(kApplicationData, plain.first(part), output);
    plain = plain.subspan(part);
  }
}

void RecordLayer::send_close_notify(EncryptedOutput& output) {
  static constexpr std::array<std::uint8_t, 2> kCloseNotify = {SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY};
  write_record(kAlert, kCloseNotify, output);
}

void RecordLayer::update_write_key(EncryptedOutput& output) {
  static constexpr std::array<std::uint8_t, 5> kUpdate = {SSL3_MT_KEY_UPDATE, 0, 0, 1,
                                                          SSL_KEY_UPDATE_NOT_REQUESTED};
  write_record(kHandshake, kUpdate, output);
  write_key_.update();
}

void RecordLayer::write_record(std::uint8_t type, base::ByteView content, EncryptedOutput& output) {
  static thread_local std::array<std::uint8_t, kHeaderBytes + kPlainMax + kSealedMin> bytes;
  const std::size_t sealed = content.size() + kSealedMin;
  const auto header = header_of(sealed);
  std::ranges::copy(header, bytes.begin());
  write_key_.seal_next(header, content, type, bytes.data() + kHeaderBytes);
  output.on_encrypted(base::ByteView(bytes).first(kHeaderBytes + sealed));
}

std::unexpected<base::Error> RecordLayer::fail(int alert, EncryptedOutput& output) {
  const std::array<std::uint8_t, 2> content = {SSL3_AL_FATAL, static_cast<std::uint8_t>(alert)};
  write_record(kAlert, content, output);
  return base::fail(base::kProtocolViolation,
                    std::string("TLS connection failed: ") + SSL_alert_desc_string_long(alert));
}

}  // namespace penstock::tls
