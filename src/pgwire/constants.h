// Numbers and letters of the frontend/backend protocol, named as in the PostgreSQL manual ("Message
// Formats").
//
// Some letters mean one thing from the client and another from the server (D, E, S, C, H): the two name
// spaces keep them apart. `msg` holds those a client sends (and CopyData, CopyDone both ways), `reply` those
// a server sends.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::pgwire {

namespace msg {  // frontend
inline constexpr std::uint8_t kBind = 'B';
inline constexpr std::uint8_t kClose = 'C';
inline constexpr std::uint8_t kCopyData = 'd';  // both ways
inline constexpr std::uint8_t kCopyDone = 'c';  // both ways
inline constexpr std::uint8_t kCopyFail = 'f';
inline constexpr std::uint8_t kDescribe = 'D';
inline constexpr std::uint8_t kExecute = 'E';
inline constexpr std::uint8_t kFlush = 'H';
inline constexpr std::uint8_t kFunctionCall = 'F';
inline constexpr std::uint8_t kParse = 'P';
inline constexpr std::uint8_t kPassword =
    'p';  // PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse
inline constexpr std::uint8_t kQuery = 'Q';
inline constexpr std::uint8_t kSync = 'S';
inline constexpr std::uint8_t kTerminate = 'X';
}  // namespace msg

namespace reply {  // backend
inline constexpr std::uint8_t kAuthentication = 'R';
inline constexpr std::uint8_t kBackendKeyData = 'K';
inline constexpr std::uint8_t kBindComplete = '2';
inline constexpr std::uint8_t kCloseComplete = '3';
inline constexpr std::uint8_t kCommandComplete = 'C';
inline constexpr std::uint8_t kCopyBothResponse = 'W';
inline constexpr std::uint8_t kCopyData = 'd';
inline constexpr std::uint8_t kCopyDone = 'c';
inline constexpr std::uint8_t kCopyInResponse = 'G';
inline constexpr std::uint8_t kCopyOutResponse = 'H';
inline constexpr std::uint8_t kDataRow = 'D';
inline constexpr std::uint8_t kEmptyQueryResponse = 'I';
inline constexpr std::uint8_t kErrorResponse = 'E';
inline constexpr std::uint8_t kFunctionCallResponse = 'V';
inline constexpr std::uint8_t kNegotiateProtocolVersion = 'v';
inline constexpr std::uint8_t kNoData = 'n';
inline constexpr std::uint8_t kNoticeResponse = 'N';
inline constexpr std::uint8_t kNotificationResponse = 'A';
inline constexpr std::uint8_t kParameterDescription = 't';
inline constexpr std::uint8_t kParameterStatus = 'S';
inline constexpr std::uint8_t kParseComplete = '1';
inline constexpr std::uint8_t kPortalSuspended = 's';
inline constexpr std::uint8_t kReadyForQuery = 'Z';
inline constexpr std::uint8_t kRowDescription = 'T';
}  // namespace reply

// The status letter of ReadyForQuery.
inline constexpr char kStatusIdle = 'I';
inline constexpr char kStatusInTransaction = 'T';
inline constexpr char kStatusFailed = 'E';

// The kind letter of Describe and Close.
inline constexpr char kStatement = 'S';
inline constexpr char kPortal = 'P';

// The answers to SSLRequest and GSSENCRequest: one byte, no length.
inline constexpr std::uint8_t kAnswerYesSsl = 'S';
inline constexpr std::uint8_t kAnswerYesGss = 'G';
inline constexpr std::uint8_t kAnswerNo = 'N';

// A connection that opens with this byte speaks TLS at once (sslnegotiation=direct): the TLS handshake record
// type. A start-up packet that short cannot begin with it, as its length word would be over 300 MB.
inline constexpr std::uint8_t kTlsHandshakeRecord = 0x16;
inline constexpr char kAlpnProtocol[] = "postgresql";

constexpr std::uint32_t protocol_version(int major, int minor) {
  return (static_cast<std::uint32_t>(major) << 16) | static_cast<std::uint32_t>(minor);
}
inline constexpr int kProtocolMajor = 3;
inline constexpr int kProtocolMinorMin = 0;
inline constexpr int kProtocolMinorMax = 2;
inline constexpr std::uint32_t kCancelRequestCode = protocol_version(1234, 5678);
inline constexpr std::uint32_t kSslRequestCode = protocol_version(1234, 5679);
inline constexpr std::uint32_t kGssEncRequestCode = protocol_version(1234, 5680);

// Bytes of a cancel key: exactly 4 in protocol 3.0, 4 to 256 in 3.2.
inline constexpr std::size_t kCancelKeyBytesMin = 4;
inline constexpr std::size_t kCancelKeyBytesMax = 256;

// The first word of an Authentication message.
namespace auth_code {
inline constexpr std::uint32_t kOk = 0;
inline constexpr std::uint32_t kKerberosV5 = 2;
inline constexpr std::uint32_t kCleartextPassword = 3;
inline constexpr std::uint32_t kMd5Password = 5;
inline constexpr std::uint32_t kGss = 7;
inline constexpr std::uint32_t kGssContinue = 8;
inline constexpr std::uint32_t kSspi = 9;
inline constexpr std::uint32_t kSasl = 10;
inline constexpr std::uint32_t kSaslContinue = 11;
inline constexpr std::uint32_t kSaslFinal = 12;
}  // namespace auth_code

// What Postgres itself bounds these lengths with; length word included.
inline constexpr std::size_t kStartupPacketBytesMax = 10'000;
inline constexpr std::size_t kAuthMessageBytesMax = 65'535 + 4;
// A message's length word counts itself.
inline constexpr std::size_t kLengthBytes = 4;
inline constexpr std::size_t kHeaderBytes = 5;  // type and length

}  // namespace penstock::pgwire
