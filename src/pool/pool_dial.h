// Pool::Dial: a connection that is being opened. Owner: the Pool. Home: LOOP.
#pragma once

#include "io/task.h"
#include "pool/pool.h"

namespace penstock::pool {

struct Pool::Dial {
  io::Task<base::Result<upstream::LoggedIn>> task;
  Reservation reservation;
  std::shared_ptr<const upstream::DialPlan> plan;
};

}  // namespace penstock::pool
