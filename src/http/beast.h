// Boost.Asio and Boost.Beast for the sources of this module, and for nobody else: their code is compiled once,
// in boost_asio.cc, and their types stay behind http's own.
#pragma once

// Included after any header of these libraries, the names below would come too late.
#if defined(BOOST_ASIO_DETAIL_CONFIG_HPP) || defined(BOOST_BEAST_CORE_DETAIL_CONFIG_HPP)
#error "include http/beast.h before any other header of Boost.Asio or Boost.Beast"
#endif

#define BOOST_ASIO_SEPARATE_COMPILATION
#define BOOST_ASIO_NO_DEPRECATED
#define BOOST_BEAST_SEPARATE_COMPILATION

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace penstock::http {

namespace asio = boost::asio;
namespace beast = boost::beast;

// A completion as a value: co_await gives the error code first and never throws.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace penstock::http
