// The part of CannedSession that writes rows: at once when they are few, as a stream when they are not.
#include <algorithm>

#include "canned_session.h"

namespace penstock::bench {

void CannedSession::describe_rows(const Plan& plan) {
  if (plan.verb == Verb::kCopyOut) {
    MessageWriter message(host_.out(), 'H');
    message->u8(0);
    message->be16(plan.column_count);
    for (std::size_t i = 0; i < plan.column_count; ++i) message->be16(0);
    return;
  }
  MessageWriter message(host_.out(), 'T');
  message->be16(plan.column_count);
  for (std::size_t i = 0; i < plan.column_count; ++i) {
    message->cstring(plan.verb == Verb::kShow ? plan.name : plan.columns[i].label);
    message->be32(0);            // no table
    message->be16(0);            // no column of one
    message->be32(25);           // text
    message->be16(0xffff);       // of any length
    message->be32(0xffffffffU);  // no modifier
    message->be16(0);            // as text
  }
}

void CannedSession::write_row(base::ByteWriter& out, const Plan& plan, Values parameters) {
  const bool copy = plan.verb == Verb::kCopyOut;
  MessageWriter message(out, copy ? 'd' : 'D');
  if (!copy) message->be16(plan.column_count);
  if (plan.verb == Verb::kShow) {
    const std::string_view value = settings_.get(plan.name);
    message->be32(static_cast<std::uint32_t>(value.size()));
    message->raw(value);
    return;
  }
  for (std::size_t i = 0; i < plan.column_count; ++i) {
    const Expression& column = plan.columns[i];
    std::string value = value_of(column, parameters);
    if (i == 0) value = corrupted(std::move(value));
    if (copy) {
      if (i > 0) message->u8('\t');
    } else {
      message->be32(static_cast<std::uint32_t>(value.size() * column.repeat));
    }
    for (std::uint64_t n = 0; n < column.repeat; ++n) message->raw(value);
  }
  if (copy) message->u8('\n');
}

void CannedSession::send_rows(const Plan& plan, Values parameters, std::uint64_t rows) {
  base::ByteWriter& out = host_.out();
  if (host_.config().corruption == Corruption::kDropRow &&
      ++host_.stats().answers % host_.config().corrupt_every == 0 && rows > 0) {
    --rows;
    ++host_.stats().corrupted;
  }
  const bool long_row = plan.column_count == 1 && plan.columns[0].repeat > 1024;
  if (!long_row) {
    base::ByteWriter row;
    if (rows <= 1) {
      if (rows == 1) write_row(out, plan, parameters);
      return complete_rows(plan, plan.rows);
    }
    write_row(row, plan, parameters);
    if (row.size() * rows <= kStreamAbove) {
      for (std::uint64_t i = 0; i < rows; ++i) out.raw(row.view());
      return complete_rows(plan, plan.rows);
    }
    stream_.emplace();
    stream_->head = base::as_text(row.view());
  } else {
    const Expression& column = plan.columns[0];
    stream_.emplace();
    stream_->unit = corrupted(value_of(column, parameters));
    stream_->units = column.repeat;
    const std::uint64_t bytes = stream_->unit.size() * column.repeat;
    const bool copy = plan.verb == Verb::kCopyOut;
    base::ByteWriter head;
    head.u8(copy ? 'd' : 'D');
    head.be32(static_cast<std::uint32_t>(bytes + (copy ? 5 : 10)));
    if (!copy) {
      head.be16(1);
      head.be32(static_cast<std::uint32_t>(bytes));
    }
    stream_->head = base::as_text(head.view());
    if (copy) stream_->foot = "\n";
  }
  stream_->rows = rows;
  // The end is written now and kept, so that it need not be remembered how the rows came about.
  const std::size_t before = out.size();
  complete_rows(plan, plan.rows);
  stream_->tail = base::as_text(out.view().subspan(before));
  std::vector<std::uint8_t> bytes = out.take();
  bytes.resize(before);
  out.clear();
  out.raw(bytes);
}

bool CannedSession::produce() {
  base::ByteWriter& out = host_.out();
  RowStream& stream = *stream_;
  while (stream.rows > 0) {
    if (stream.units_done == 0) out.raw(stream.head);
    while (stream.units_done < stream.units) {
      out.raw(stream.unit);
      ++stream.units_done;
      if (out.size() > kPieceBytes) return false;
    }
    out.raw(stream.foot);
    stream.units_done = 0;
    --stream.rows;
    if (out.size() > kPieceBytes && stream.rows > 0) return false;
  }
  out.raw(stream.tail);
  stream_.reset();
  return true;
}

void CannedSession::complete_rows(const Plan& plan, std::uint64_t rows) {
  if (plan.verb == Verb::kCopyOut) write_bare(host_.out(), 'c');
  std::string tag(plan.tag);
  if (plan.verb != Verb::kShow) tag += ' ' + std::to_string(rows);
  complete(tag);
}

}  // namespace penstock::bench
