// Lists whose nodes are the objects themselves: no allocation, O(1) insert and removal, and an object that
// dies leaves its list by itself. Boost.Intrusive with the two choices Penstock always makes.
#pragma once

#include <boost/intrusive/list.hpp>

namespace penstock::base {

// Derive from ListHook<Tag>; one tag per list an object can be in at the same time.
template <class Tag>
using ListHook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                                  boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

template <class T, class Tag>
using List = boost::intrusive::list<T, boost::intrusive::base_hook<ListHook<Tag>>,
                                    boost::intrusive::constant_time_size<false>>;

}  // namespace penstock::base
