// The words users write for the enums of the settings; see model/words.h for how to use them.
#pragma once

#include "config/settings.h"
#include "model/words.h"

namespace penstock::model {

template <>
std::span<const Word<config::IoBackend>> words();
template <>
std::span<const Word<config::LogFormat>> words();
template <>
std::span<const Word<config::LogLevel>> words();

}  // namespace penstock::model
