// SqlState: the five-character error codes of Postgres that Penstock itself sends.
//
// Source: PostgreSQL manual, appendix A. Codes that come from a server are carried as they are.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace penstock::base {

class SqlState {
 public:
  constexpr SqlState() : code_{'X', 'X', '0', '0', '0'} {}
  explicit constexpr SqlState(std::string_view code) : SqlState() {
    if (code.size() == 5) {
      for (std::size_t i = 0; i < 5; ++i) code_[i] = code[i];
    }
  }
  constexpr std::string_view view() const { return {code_.data(), code_.size()}; }
  std::string str() const { return std::string(view()); }
  // The class of the code: its first two characters.
  constexpr std::string_view category() const { return view().substr(0, 2); }
  friend constexpr bool operator==(const SqlState&, const SqlState&) = default;

 private:
  std::array<char, 5> code_;
};

inline constexpr SqlState kConnectionException{"08000"};
inline constexpr SqlState kConnectionDoesNotExist{"08003"};
inline constexpr SqlState kConnectionRejected{"08004"};
inline constexpr SqlState kConnectionFailure{"08006"};
// What was asked may have been done: the connection ended before the answer came.
inline constexpr SqlState kTransactionResolutionUnknown{"08007"};
inline constexpr SqlState kProtocolViolation{"08P01"};
inline constexpr SqlState kFeatureNotSupported{"0A000"};
inline constexpr SqlState kInvalidParameterValue{"22023"};
inline constexpr SqlState kInFailedTransaction{"25P02"};
inline constexpr SqlState kIdleInTransactionTimeout{"25P03"};
inline constexpr SqlState kTransactionTimeout{"25P04"};
inline constexpr SqlState kUndefinedPreparedStatement{"26000"};
inline constexpr SqlState kInvalidAuthorization{"28000"};
inline constexpr SqlState kInvalidPassword{"28P01"};
inline constexpr SqlState kInvalidCatalogName{"3D000"};
inline constexpr SqlState kSerializationFailure{"40001"};
inline constexpr SqlState kUndefinedObject{"42704"};
inline constexpr SqlState kDuplicateObject{"42710"};
inline constexpr SqlState kDuplicatePreparedStatement{"42P05"};
inline constexpr SqlState kInsufficientResources{"53000"};
inline constexpr SqlState kOutOfMemory{"53200"};
inline constexpr SqlState kTooManyConnections{"53300"};
inline constexpr SqlState kProgramLimitExceeded{"54000"};
inline constexpr SqlState kObjectNotInPrerequisiteState{"55000"};
inline constexpr SqlState kQueryCanceled{"57014"};
inline constexpr SqlState kAdminShutdown{"57P01"};
inline constexpr SqlState kCrashShutdown{"57P02"};
inline constexpr SqlState kCannotConnectNow{"57P03"};
inline constexpr SqlState kIdleSessionTimeout{"57P05"};
inline constexpr SqlState kIoError{"58030"};
inline constexpr SqlState kConfigFileError{"F0000"};
inline constexpr SqlState kInternalError{"XX000"};

}  // namespace penstock::base
