#include "tls/passage.h"

#include "tls/tls_stream.h"

namespace penstock::tls {

namespace {

void append(std::vector<std::uint8_t>& bytes, const std::vector<io::Chunk>& chunks) {
  for (const io::Chunk& chunk : chunks) bytes.insert(bytes.end(), chunk.view().begin(), chunk.view().end());
}

}  // namespace

void Passage::take(io::StreamPtr stream, std::move_only_function<void(base::Result<Passage>)> done) {
  io::Loop& loop = stream->loop();
  TlsStream::Parts parts;
  if (dynamic_cast<TlsStream*>(stream.get()) != nullptr) {
    parts = TlsStream::take_apart(TlsStreamPtr(static_cast<TlsStream*>(stream.release())));
  } else {
    parts.raw = std::move(stream);
  }
  io::StreamPtr raw = std::move(parts.raw);
  loop.detach(std::move(raw), [parts = std::move(parts),
                               done = std::move(done)](base::Result<io::Loop::Detached> detached) mutable {
    if (!detached) return done(base::fail(std::move(detached.error())));
    Passage passage(*detached);
    append(passage.received_, parts.undecrypted);
    append(passage.received_, detached->received);
    passage.engine_ = std::move(parts.engine);
    done(std::move(passage));
  });
}

Passage::~Passage() {
  if (descriptor_.number >= 0) close_(descriptor_.number);
}

base::Result<io::StreamPtr> Passage::arrive(io::Loop& loop) {
  auto raw = loop.adopt(std::exchange(descriptor_.number, -1));
  if (!raw || engine_ == nullptr) return raw;
  TlsStream::Parts parts{.raw = std::move(*raw), .engine = std::move(engine_)};
  if (!received_.empty()) parts.undecrypted.push_back(io::Chunk::copy_of(received_));
  received_.clear();
  return TlsStream::assemble(std::move(parts));
}

}  // namespace penstock::tls
