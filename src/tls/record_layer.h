// RecordLayer is an open TLS 1.3 connection without OpenSSL's connection: keys, and nothing else while it is idle.
//
// OpenSSL keeps 17 KiB of every connection for as long as it is open, this 300 bytes. It takes over from an accepted
// handshake (engine.h) when the peer's Finished has been read.
//
// Table:      state   event                                   next
//             open    read(), write()                         open
//             open    close_notify from the peer              ended: read() gives kClosed; write() still works
//             any     an error                                dead: only destroying it is left
//
// Owner:      Engine, by unique_ptr.
// Home:       LOOP; may be handed to another thread as a whole.
// Invariants: 1. It takes no byte beyond the record it is reading.
//             2. It buffers nothing but the beginning of a record whose end has not come.
// Errors:     kProtocolViolation; the peer has been sent the alert.
// Bounds:     one partial record (16 KiB) while one is arriving.
// Source:     RFC 8446, sections 4.6.3 (key updates), 5 (records), 6 (alerts).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "tls/traffic_key.h"

namespace penstock::tls {

// Where encrypted bytes go, as they are made.
struct EncryptedOutput {
  virtual void on_encrypted(base::ByteView bytes) = 0;

 protected:
  ~EncryptedOutput() = default;
};

struct PlainRead {
  // kNeedsRoom: the record that is there does not fit into what was given; it waits.
  enum class Kind { kData, kNeedsMore, kNeedsRoom, kClosed } kind;
  std::size_t size = 0;  // of kData
};

class RecordLayer {
 public:
  struct Start {
    Suite suite;
    base::ByteView read_secret, write_secret;
    std::uint64_t records_written;  // under write_secret: session tickets
  };
  static constexpr std::size_t kPlainMax = 16 * 1024;
  // With room for this much, no record needs more.
  static constexpr std::size_t kReadRoom = 5 + kPlainMax + 256;
  // AES-GCM is good for 2^24.5 records under one key (RFC 8446, section 5.5).
  static constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 24;

  explicit RecordLayer(const Start& start, std::uint64_t records_per_key = kRecordsPerKey);

  // Decrypts into `out`, at most one record. `output`: for what the protocol has to answer.
  base::Result<PlainRead> read(base::ByteView& input, std::span<std::uint8_t> out, EncryptedOutput& output);
  void write(base::ByteView plain, EncryptedOutput& output);
  void send_close_notify(EncryptedOutput& output);
  // Whether read() would give data without any input.
  bool has_record() const { return wanted() == 0; }

 private:
  std::size_t wanted() const;
  base::Result<base::ByteView> next_record(base::ByteView& input, EncryptedOutput& output);
  void consume(base::ByteView record, base::ByteView& input);
  base::Result<base::ByteView> decrypt(base::ByteView record, std::span<std::uint8_t> out,
                                       EncryptedOutput& output);
  base::Status on_alert(base::ByteView content, EncryptedOutput& output);
  base::Status on_handshake(base::ByteView content, EncryptedOutput& output);
  void write_record(std::uint8_t type, base::ByteView content, EncryptedOutput& output);
  void update_write_key(EncryptedOutput& output);
  std::unexpected<base::Error> fail(int alert, EncryptedOutput& output);

  TrafficKey read_key_;
  TrafficKey write_key_;
  std::uint64_t records_per_key_;
  std::vector<std::uint8_t> partial_;
  std::array<std::uint8_t, 5> key_update_ = {};  // as much of it as has come
  std::uint8_t key_update_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace penstock::tls
