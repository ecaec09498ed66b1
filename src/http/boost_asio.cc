// Boost.Asio and Boost.Beast, compiled once here: Debian ships them as headers.
#include "http/beast.h"
//
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
