// What one worker has at the moment, for people and Prometheus.
//
// Home: the worker's thread.
#pragma once

#include "admin/engine.h"
#include "server/worker.h"

namespace penstock::server {

// Adds this worker's part to `found`.
void look_at(const admin::LookWish& wish, unsigned worker, session::PoolSet& pools,
             Worker::Sessions& sessions, admin::Findings& found);
// Makes one of the shards of several workers.
void merge_shards(std::vector<admin::PoolView>& pools);

}  // namespace penstock::server
