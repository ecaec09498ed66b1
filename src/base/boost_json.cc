// Boost.JSON, compiled once here: Debian ships it as headers and as a shared library, and the headers are
// enough.
#include <boost/json/src.hpp>
