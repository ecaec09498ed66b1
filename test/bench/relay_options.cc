#include "relay_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

namespace penstock::bench {

RelayOptions read_relay_options(int argc, char** argv) {
  std::string listen = "127.0.0.1:6499";
  std::string target = "127.0.0.1:5499";
  CLI::App app{"Passes bytes one to one between each client and a server connection of its own."};
  app.add_option("--listen", listen, "address:port or socket path");
  app.add_option("--target", target, "address:port or socket path");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  const auto from = Endpoint::parse(listen);
  const auto to = Endpoint::parse(target);
  if (!from || !to) die("not an address: " + (from ? target : listen));
  raise_file_limit();
  return {*from, *to};
}

int connect_now(const Endpoint& target) {
  Descriptor fd(socket(target.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || connect(fd.get(), target.data(), target.size()) != 0) return -1;
  set_no_delay(fd.get());
  return fd.release();
}

}  // namespace penstock::bench
