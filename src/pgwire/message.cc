#include "pgwire/message.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace penstock::pgwire {

using base::ByteView;

namespace {

std::string describe_type(std::uint8_t type) {
  if (std::isgraph(type) != 0) return std::string("'") + static_cast<char>(type) + "'";
  return "code " + std::to_string(type);
}

}  // namespace

base::Result<std::optional<Message>> MessageAssembler::next_message(ByteView& input) {
  const auto frame = next_frame(input, 1);
  if (!frame) return std::unexpected(frame.error());
  if (!*frame) return std::nullopt;
  return Message{.type = (**frame)[0], .body = (*frame)->subspan(kHeaderBytes)};
}

base::Result<std::optional<ByteView>> MessageAssembler::next_startup_packet(ByteView& input) {
  const auto frame = next_frame(input, 0);
  if (!frame) return std::unexpected(frame.error());
  if (!*frame) return std::nullopt;
  return (*frame)->subspan(kLengthBytes);
}

base::Result<std::optional<ByteView>> MessageAssembler::next_frame(ByteView& input,
                                                                   std::size_t prefix_bytes) {
  if (returned_) {
    std::vector<std::uint8_t>().swap(held_);
    returned_ = false;
  }
  const std::size_t header_bytes = prefix_bytes + kLengthBytes;
  if (held_.empty() && input.size() >= header_bytes) {  // often all is there: no copy
    const auto whole = frame_bytes(input.first(header_bytes), prefix_bytes);
    if (!whole) return std::unexpected(whole.error());
    if (input.size() >= *whole) {
      const ByteView frame = input.first(*whole);
      input = input.subspan(*whole);
      return frame;
    }
  }
  if (!take_until(input, header_bytes)) return std::nullopt;
  const auto whole = frame_bytes(ByteView(held_).first(header_bytes), prefix_bytes);
  if (!whole) return std::unexpected(whole.error());
  if (!take_until(input, *whole)) return std::nullopt;
  returned_ = true;
  return ByteView(held_);
}

bool MessageAssembler::take_until(ByteView& input, std::size_t wanted) {
  const std::size_t count = std::min(wanted - std::min(wanted, held_.size()), input.size());
  const std::size_t needed = held_.size() + count;
  // Grows in proportion to what has come, not to what was announced, and never beyond the message.
  if (needed > held_.capacity()) held_.reserve(std::min(wanted, std::max(needed, 2 * held_.capacity())));
  held_.insert(held_.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
  input = input.subspan(count);
  return held_.size() >= wanted;
}

base::Result<std::size_t> MessageAssembler::frame_bytes(ByteView header, std::size_t prefix_bytes) const {
  const std::uint32_t length = base::load_be32(header.data() + prefix_bytes);
  const bool typed = prefix_bytes != 0;
  // A start-up packet holds at least its code.
  const std::size_t least = typed ? kLengthBytes : kLengthBytes + 4;
  const std::size_t most = typed ? limits_.message_bytes_max : limits_.startup_bytes_max;
  if (length >= least && length <= most) return prefix_bytes + length;
  std::string detail = "The length word says " + std::to_string(static_cast<std::int32_t>(length)) + " bytes";
  if (typed) detail += " for a message of type " + describe_type(header[0]);
  detail += "; " + std::to_string(least) + " to " + std::to_string(most) + " are allowed here.";
  return base::fail(base::kProtocolViolation,
                    typed ? "invalid message length" : "invalid length of startup packet", std::move(detail));
}

}  // namespace penstock::pgwire
