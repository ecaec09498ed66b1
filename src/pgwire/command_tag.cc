#include "pgwire/command_tag.h"

#include <array>
#include <cstddef>

namespace penstock::pgwire {

namespace {

struct Entry {
  std::string_view text;
  CommandTag tag;
};

constexpr std::array kWhole = {
    Entry{"BEGIN", CommandTag::kBegin},
    Entry{"CLOSE CURSOR", CommandTag::kCloseCursor},
    Entry{"CLOSE CURSOR ALL", CommandTag::kCloseCursorAll},
    Entry{"COMMIT", CommandTag::kCommit},
    Entry{"COMMIT PREPARED", CommandTag::kFinishPrepared},
    Entry{"DEALLOCATE", CommandTag::kDeallocate},
    Entry{"DEALLOCATE ALL", CommandTag::kDeallocateAll},
    Entry{"DECLARE CURSOR", CommandTag::kDeclareCursor},
    Entry{"DISCARD ALL", CommandTag::kDiscardAll},
    Entry{"DISCARD PLANS", CommandTag::kDiscardPlans},
    Entry{"DISCARD SEQUENCES", CommandTag::kDiscardSequences},
    Entry{"DISCARD TEMP", CommandTag::kDiscardTemp},
    Entry{"LISTEN", CommandTag::kListen},
    Entry{"LOAD", CommandTag::kLoad},
    Entry{"NOTIFY", CommandTag::kNotify},
    Entry{"PREPARE", CommandTag::kPrepare},
    Entry{"PREPARE TRANSACTION", CommandTag::kPrepareTransaction},
    Entry{"RELEASE", CommandTag::kRelease},
    Entry{"RESET", CommandTag::kReset},
    Entry{"ROLLBACK", CommandTag::kRollback},
    Entry{"ROLLBACK PREPARED", CommandTag::kFinishPrepared},
    Entry{"SAVEPOINT", CommandTag::kSavepoint},
    Entry{"SET", CommandTag::kSet},
    Entry{"SET CONSTRAINTS", CommandTag::kSetConstraints},
    Entry{"START TRANSACTION", CommandTag::kBegin},
    Entry{"UNLISTEN", CommandTag::kUnlisten},
};

// Where in kWhole the tags of a first letter begin; the entry after the last letter is the table's size.
constexpr auto kFirstOfLetter = [] {
  std::array<std::uint8_t, 27> first{};
  for (std::size_t letter = 0; letter < 27; ++letter) {
    std::size_t at = 0;
    while (at < kWhole.size() && kWhole[at].text[0] < static_cast<char>('A' + letter)) ++at;
    first[letter] = static_cast<std::uint8_t>(at);
  }
  return first;
}();

constexpr bool sorted() {
  for (std::size_t i = 1; i < kWhole.size(); ++i) {
    if (kWhole[i - 1].text >= kWhole[i].text) return false;
  }
  return true;
}
static_assert(sorted());

}  // namespace

CommandTag classify_tag(std::string_view tag) {
  if (tag.size() < 3 || tag[0] < 'A' || tag[0] > 'Z') return CommandTag::kOther;
  // Those that end in a number of rows are none of ours.
  const char last = tag.back();
  if (last >= '0' && last <= '9') return CommandTag::kOther;
  if (tag.starts_with("CREATE ") || tag.starts_with("ALTER ") || tag.starts_with("DROP ")) {
    return CommandTag::kSchemaChange;
  }
  const auto letter = static_cast<std::size_t>(tag[0] - 'A');
  for (std::size_t i = kFirstOfLetter[letter]; i < kFirstOfLetter[letter + 1]; ++i) {
    if (kWhole[i].text == tag) return kWhole[i].tag;
  }
  return CommandTag::kOther;
}

}  // namespace penstock::pgwire
