#include "remote/event_follower.h"

#include <curl/curl.h>

#include <algorithm>
#include <new>

namespace tertulia::remote {

namespace json = base::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// A server says something every 15 seconds, if only that it is there.
constexpr std::chrono::seconds kSilence{45};
constexpr std::size_t kMostLine = std::size_t{64} << 20;

}  // namespace

struct EventFollower::Stream {
  CURLM* multi = curl_multi_init();
  CURL* easy = curl_easy_init();
  curl_slist* fields = nullptr;
  std::string refusal;  // the body of an answer that is no stream
  bool is_done = false;
  CURLcode ending = CURLE_OK;
  EventFollower* follower = nullptr;

  Stream() {
    if (multi == nullptr || easy == nullptr) throw std::bad_alloc();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(fields);
  }
  [[nodiscard]] int status() const {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }
  [[nodiscard]] std::string field(const char* name) const {
    curl_header* found = nullptr;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK) return {};
    return found->value;
  }

  static std::size_t on_bytes(char* bytes, std::size_t, std::size_t count, void* into) {
    auto& stream = *static_cast<Stream*>(into);
    if (stream.status() == 200) {
      stream.follower->take({bytes, count});
    } else if (stream.refusal.size() + count < kMostLine) {
      stream.refusal.append(bytes, count);
    }
    return count;
  }
};

EventFollower::EventFollower(const ApiClient& client, std::string target, std::string last_id,
                             milliseconds patience)
    : client_(client),
      target_(std::move(target)),
      patience_(patience),
      last_id_(std::move(last_id)),
      retry_at_(steady_clock::now()) {}

EventFollower::~EventFollower() = default;

void EventFollower::connect() {
  stream_ = std::make_unique<Stream>();
  stream_->follower = this;
  line_.clear();
  data_.clear();
  id_.clear();
  heard_at_ = steady_clock::now();
  CURL* const easy = stream_->easy;
  auto* fields = static_cast<curl_slist*>(
      client_.set_up(easy, {.target = target_, .accept = "text/event-stream"}));
  if (!last_id_.empty() && last_id_ != "0") {
    curl_slist* const longer = curl_slist_append(fields, ("Last-Event-ID: " + last_id_).c_str());
    if (longer == nullptr) throw std::bad_alloc();
    fields = longer;
  }
  stream_->fields = fields;
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, Stream::on_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, stream_.get());
  curl_multi_add_handle(stream_->multi, easy);
}

void EventFollower::disconnect(bool was_well) {
  const auto now = steady_clock::now();
  stream_.reset();
  if (was_well) {
    repetition_ = 0;
    away_since_.reset();
  } else if (!away_since_) {
    away_since_ = now;
  }
  retry_at_ = now + back_off(repetition_++);
}

base::Result<void> EventFollower::on_end() {
  const int status = stream_->status();
  if (status == 204) {
    is_over_ = true;
    stream_.reset();
    return {};
  }
  if (status == 200 || (stream_->ending != CURLE_OK && status == 0)) {
    const std::string why = curl_easy_strerror(stream_->ending);
    disconnect(status == 200);
    if (away_since_ && steady_clock::now() - *away_since_ > patience_)
      return client_.unreachable(why);
    return {};
  }
  Reply reply;
  reply.status = status;
  reply.content_type = stream_->field("Content-Type");
  reply.location = stream_->field("Location");
  reply.body = std::move(stream_->refusal);
  base::Error error = client_.refusal(reply);
  const bool is_passing = status >= 500 || status == 429;
  disconnect(false);
  if (is_passing && error.code != base::Code::drift && error.code != base::Code::internal &&
      steady_clock::now() - *away_since_ <= patience_)
    return {};
  return error;
}

base::Result<std::optional<engine::Event>> EventFollower::next(milliseconds wait) {
  const auto end = steady_clock::now() + wait;
  for (;;) {
    if (!events_.empty()) {
      engine::Event event = std::move(events_.front());
      events_.pop_front();
      return std::optional(std::move(event));
    }
    const auto now = steady_clock::now();
    if (is_over_ || now > end) return std::optional<engine::Event>();
    if (!stream_ && now >= retry_at_) connect();
    const auto until = stream_ ? end : std::min(end, retry_at_);
    const auto left = std::chrono::ceil<milliseconds>(until - now);
    if (!stream_) {
      // libcurl's poll sleeps without a handle too, and is not disturbed by signals.
      const Stream nothing;
      curl_multi_poll(nothing.multi, nullptr, 0, static_cast<int>(left.count()), nullptr);
      continue;
    }
    int running = 0;
    curl_multi_perform(stream_->multi, &running);
    if (running == 0) {
      int queued = 0;
      while (const CURLMsg* message = curl_multi_info_read(stream_->multi, &queued))
        if (message->msg == CURLMSG_DONE) stream_->ending = message->data.result;
      if (auto went_on = on_end(); !went_on && events_.empty()) return went_on.error();
      continue;
    }
    if (!events_.empty()) continue;
    if (now - heard_at_ > kSilence) {
      disconnect(stream_->status() == 200);
      continue;
    }
    curl_multi_poll(stream_->multi, nullptr, 0,
                    static_cast<int>(std::max<std::int64_t>(1, left.count())), nullptr);
  }
}

void EventFollower::take(std::string_view bytes) {
  heard_at_ = steady_clock::now();
  away_since_.reset();
  repetition_ = 0;
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    take_line(line_);
    line_.clear();
  }
}

void EventFollower::take_line(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) {
    if (auto value = base::parse_json(data_); value && value->is_object())
      if (auto event = event_from_json(value->get_object())) events_.push_back(*std::move(event));
    if (!id_.empty()) last_id_ = id_;
    data_.clear();
    id_.clear();
    return;
  }
  const auto colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (name == "id") id_ = value;
  if (name == "data") {
    if (!data_.empty()) data_ += '\n';
    data_ += value;
  }
}

std::optional<engine::Event> event_from_json(const json::object& object) {
  const auto find = [&](const char* name) { return object.if_contains(name); };
  const json::value* type = find("type");
  const json::value* session = find("session_id");
  const json::value* time = find("time");
  if (type == nullptr || !type->is_string() || session == nullptr || !session->is_int64() ||
      time == nullptr || !time->is_string())
    return {};
  const auto known = engine::event_type(std::string_view(type->get_string()));
  const auto at = base::parse_iso8601(time->get_string());
  if (!known || !at) return {};
  engine::Event event{
      .id = 0, .type = *known, .session_id = session->get_int64(), .time = *at, .data = {}};
  if (const json::value* id = find("id"); id != nullptr && id->is_int64())
    event.id = id->get_int64();
  for (const auto& member : object)
    if (member.key() != "id" && member.key() != "type" && member.key() != "session_id" &&
        member.key() != "time")
      event.data[member.key()] = member.value();
  return event;
}

}  // namespace tertulia::remote
