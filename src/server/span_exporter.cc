#include "server/span_exporter.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

#include "base/log.h"

namespace tertulia::server {
namespace {

namespace json = base::json;
using std::chrono::steady_clock;

constexpr std::size_t kBatch = 512;
constexpr std::chrono::seconds kEvery{1};
constexpr std::chrono::seconds kAtTheEnd{2};
constexpr long kTimeoutMs = 10'000;
constexpr long kConnectMs = 3'000;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::size_t ignore_body(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

}  // namespace

SpanExporter::SpanExporter(Options options)
    : options_(std::move(options)), thread_([this] { work(); }) {}

SpanExporter::~SpanExporter() {
  end_by_ = steady_clock::now() + kAtTheEnd;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SpanExporter::add(json::object span) {
  bool is_batch = false;
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || waiting_.size() >= options_.most_waiting) {
      ++dropped_;
      return;
    }
    waiting_.push_back(std::move(span));
    is_batch = waiting_.size() == kBatch;
  }
  if (is_batch) wake_.notify_one();
}

void SpanExporter::flush() {
  {
    const std::lock_guard lock(mutex_);
    flush_ = true;
  }
  wake_.notify_one();
}

void SpanExporter::work() {
  for (;;) {
    std::vector<json::object> batch;
    bool ending = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kEvery, [&] { return ending_ || flush_ || waiting_.size() >= kBatch; });
      while (!waiting_.empty() && batch.size() < kBatch) {
        batch.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
      if (waiting_.empty()) flush_ = false;
      ending = ending_;
    }
    if (batch.empty()) {
      if (ending) return;
      continue;
    }
    send(std::move(batch));
  }
}

void SpanExporter::send(std::vector<json::object> spans) {
  const std::size_t count = spans.size();
  json::array all;
  for (json::object& span : spans) all.emplace_back(std::move(span));
  json::object scoped{
      {"scope", options_.scope}, {"schemaUrl", options_.schema_url}, {"spans", std::move(all)}};
  json::object resource{{"resource", options_.resource},
                        {"schemaUrl", options_.schema_url},
                        {"scopeSpans", json::array{std::move(scoped)}}};
  const std::string body =
      base::to_text(json::object{{"resourceSpans", json::array{std::move(resource)}}});
  std::string error;
  Delivery delivery = deliver(body, error);
  if (delivery == Delivery::later) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kEvery, [&] { return ending_; });
    }
    delivery = deliver(body, error);
  }
  if (delivery == Delivery::taken) {
    sent_ += count;
    has_complained_ = false;
    return;
  }
  dropped_ += count;
  if (!has_complained_)
    spdlog::warn(
        "traces: the collector did not take {} spans: {}; more are dropped silently until "
        "it takes some",
        count, error);
  has_complained_ = true;
}

SpanExporter::Delivery SpanExporter::deliver(const std::string& body, std::string& error) {
  const std::unique_ptr<CURL, EasyDeleter> easy(curl_easy_init());
  std::unique_ptr<curl_slist, ListDeleter> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"));
  headers.reset(curl_slist_append(headers.release(), "Expect:"));  // no "100 Continue"
  for (const std::string& header : options_.headers)
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  CURL* const call = easy.get();
  curl_easy_setopt(call, CURLOPT_URL, options_.url.c_str());
  curl_easy_setopt(call, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(call, CURLOPT_NOSIGNAL, 1L);
  if (options_.is_loopback) curl_easy_setopt(call, CURLOPT_PROXY, "");
  curl_easy_setopt(call, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(call, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(call, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(call, CURLOPT_WRITEFUNCTION, ignore_body);
  curl_easy_setopt(call, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  curl_easy_setopt(call, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(call, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(call, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(call, CURLOPT_XFERINFOFUNCTION, &SpanExporter::on_progress);
  const CURLcode code = curl_easy_perform(call);
  if (code != CURLE_OK) {
    error = curl_easy_strerror(code);
    return is_out_of_time() ? Delivery::refused : Delivery::later;
  }
  long status = 0;
  curl_easy_getinfo(call, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return Delivery::taken;
  error = fmt::format("it answered {}", status);
  const bool may_work = status == 429 || status == 502 || status == 503 || status == 504;
  return may_work ? Delivery::later : Delivery::refused;
}

bool SpanExporter::is_out_of_time() const {
  return steady_clock::now() > end_by_.load();
}

int SpanExporter::on_progress(void* self, std::int64_t, std::int64_t, std::int64_t, std::int64_t) {
  return static_cast<const SpanExporter*>(self)->is_out_of_time() ? 1 : 0;
}

}  // namespace tertulia::server
