// Columns of text for people: as wide as their widest cell, two blanks between them.
#pragma once

#include <string>
#include <vector>

namespace penstock::cli {

using Row = std::vector<std::string>;

// The first row is the heading. Bytes of control characters are replaced, widths count UTF-8 characters.
std::string columns(const std::vector<Row>& rows);

// Each line of `text` behind that many blanks.
std::string indented(const std::string& text, int blanks);

}  // namespace penstock::cli
