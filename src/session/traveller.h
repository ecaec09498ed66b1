// Traveller: a session that has logged in and is on its way to another worker.
//
// Carries values only; what belongs to a worker (pool, interned settings) is found again where it arrives.
//
// Owner: the message between two workers. Home: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pool/pool.h"
#include "session/identity.h"
#include "tls/passage.h"

namespace penstock::session {

struct Traveller {
  std::uint64_t id = 0;
  IdentityPtr identity;
  std::string pool_key;
  pool::PoolConfigPtr pool_config;
  upstream::Settings::Values settings;
  std::uint32_t cancel_id = 0;
  pool::Reservation reservation;
  std::vector<std::uint8_t> received;  // what the client has sent already, in the clear
  std::optional<tls::Passage> passage;
};
using TravellerPtr = std::unique_ptr<Traveller>;

}  // namespace penstock::session
