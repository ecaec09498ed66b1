// CommandTag: what the server says it has done, as far as it changes what a session must remember.
//
// Unlike the text of a statement, the tag is the truth: the server has done this. But it names one statement
// only, and nothing a function did inside. Source: PostgreSQL manual, "Message Formats", CommandComplete;
// src/include/tcop/cmdtaglist.h names all tags.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::pgwire {

enum class CommandTag : std::uint8_t {
  kOther,  // SELECT, INSERT, … : changes nothing that outlives the statement in the session
  kBegin,  // BEGIN, START TRANSACTION
  kCommit,
  kRollback,  // ROLLBACK, also ROLLBACK TO
  kSavepoint,
  kRelease,
  kPrepareTransaction,
  kFinishPrepared,  // COMMIT PREPARED, ROLLBACK PREPARED
  kSet,             // SET, also SET LOCAL, SET TRANSACTION
  kReset,
  kSetConstraints,
  kPrepare,
  kDeallocate,
  kDeallocateAll,
  kDiscardAll,
  kDiscardPlans,
  kDiscardSequences,
  kDiscardTemp,
  kListen,
  kUnlisten,
  kNotify,
  kDeclareCursor,
  kCloseCursor,
  kCloseCursorAll,
  kLoad,
  kSchemaChange,  // CREATE …, ALTER …, DROP …, SELECT INTO, CREATE TABLE AS: plans may be stale, tables
                  // temporary
};

// `tag` without its zero byte. Costs a few nanoseconds; SELECT, INSERT, UPDATE and DELETE the fewest.
CommandTag classify_tag(std::string_view tag);

}  // namespace penstock::pgwire
