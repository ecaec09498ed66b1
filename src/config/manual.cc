// The manual page of the configuration, from the table.
#include <fmt/format.h>

#include <algorithm>

#include "config/render.h"
#include "config/table.h"

namespace penstock::config {
namespace {

constexpr std::string_view kPreface = R"(# Configuration

<!-- Made from the table of settings in src/config; a test compares. Change the table, not this page. -->

Every setting has a default, so Penstock starts without a file. `penstock serve --config FILE` reads a TOML file,
`penstock check --config FILE` says what is wrong with it: file, line, column, setting, and what is allowed. All mistakes
are reported at once; a setting that does not exist is a mistake.

```toml
[server]
workers = 4

[[listener]]
address = "*"
port = 6432

[[listener]]
address = "/run/penstock"
port = 6432
pool_mode = "session"

[pool]
size = 20
upstream_lifetime = "1h"
```

## Where values come from

Each of these wins over the one before:

1. the defaults below,
2. the file,
3. the environment: `PENSTOCK_`, section and key in capitals, as in `PENSTOCK_POOL_SIZE=50`,
4. the command line: `--set pool.size=50`, any number of times.

A variable of a known section with an unknown key is a mistake; any other unknown `PENSTOCK_…` variable is passed over with a
warning. Variables that Kubernetes makes for a service called `penstock` are passed over in silence.

SIGHUP reads everything again. When there is a mistake in it, the old settings stay as a whole. Settings marked
*restart* keep their value until then; the log names them.

## How values are written

| | in the file | in the environment and with `--set` |
| --- | --- | --- |
| number | `20` | `20` |
| switch | `true`, `false` | `true`, `on`, `yes`, `1`, `false`, `off`, `no`, `0` |
| text, word | `"transaction"` | `transaction` |
| list | `["a", "b"]` | `a,b` |
| duration | `"500ms"`, `"5s"`, `"2min"`, `"1h"`, `"7d"` | `500ms` |
| size | `"64kB"`, `"1MB"`, `"1GB"`, or a number of bytes | `64kB` |

A duration always has its unit, because a bare number would be seconds to PgBouncer and milliseconds to Postgres; only `0`
may stand alone. kB, MB and GB are powers of 1024, as in Postgres. Relative paths begin at the working directory.

What is set here holds for the whole process. Tenants and users live in the catalog, and may have their own pool sizes,
modes and times there. Passwords and other secrets are never settings.
)";

constexpr std::string_view kListeners = R"(
## `[[listener]]`

One section for each place to listen at; without any, Penstock listens on 127.0.0.1:6432. In the environment and with
`--set`, all listeners are one value, which replaces those of the file:

```sh
PENSTOCK_LISTENERS='127.0.0.1:6432,[::1]:6432,/run/penstock:6432?unix_mode=0770,*:6543?pool_mode=session'
penstock serve --set 'listeners=*:6432'
```

`mode` is short for `pool_mode` there. A change of listeners needs a restart.
)";

constexpr std::size_t kLineMax = 100;

// Breaks a paragraph into lines of at most kLineMax bytes.
std::string wrap(std::string_view text) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const bool fits = column + word.size() < kLineMax;
    if (column > 0) out += fits ? ' ' : '\n';
    column = (fits ? column : 0) + word.size() + 1;
    out += word;
  }
  return out;
}

template <class Owner>
std::string render_entry(const Entry<Owner>& entry, bool in_listener) {
  std::string out = fmt::format("\n### `{}`\n\n{}\n\n", entry.name(), wrap(entry.doc));
  const Value preset = entry.get(Owner{});
  const bool unset = preset == Value(std::string());
  out += unset ? "- Default: not set\n" : fmt::format("- Default: `{}`\n", to_toml(entry.allowed, preset));
  out += fmt::format("- Allowed: {}\n", describe(entry.allowed));
  if (!in_listener) out += fmt::format("- Environment: `{}`\n", entry.environment_name());
  if (!entry.pgbouncer.empty()) out += fmt::format("- PgBouncer: `{}`\n", entry.pgbouncer);
  if (!in_listener && !entry.reloadable) out += "- A change needs a *restart*\n";
  return out;
}

}  // namespace

std::string render_manual() {
  std::string out(kPreface);
  out += kListeners;
  for (const auto& entry : listener_table()) out += render_entry(entry, true);
  for (const Section& section : sections()) {
    out += fmt::format("\n## `[{}]`\n\n{}\n", section.name, wrap(section.doc));
    for (const auto& entry : settings_table()) {
      if (entry.section == section.name) out += render_entry(entry, false);
    }
  }
  return out;
}

}  // namespace penstock::config
