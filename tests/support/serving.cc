#include "support/serving.h"

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>

namespace tertulia::test {
namespace {

constexpr long kPatience = 60;  // seconds; a test that waits longer has failed

std::size_t take_body(char* data, std::size_t, std::size_t size, void* into) {
  static_cast<std::string*>(into)->append(data, size);
  return size;
}

std::size_t take_field(char* data, std::size_t, std::size_t size, void* into) {
  const std::string_view line(data, size);
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
  (*static_cast<std::map<std::string, std::string>*>(into))[name] = value;
  return size;
}

struct Stream {
  std::string text;
  std::string until;
};

std::size_t take_events(char* data, std::size_t, std::size_t size, void* into) {
  auto& stream = *static_cast<Stream*>(into);
  stream.text.append(data, size);
  const auto found = stream.text.find("event: " + stream.until + "\n");
  // The event whole, then no more.
  if (found != std::string::npos && stream.text.find("\n\n", found) != std::string::npos) return 0;
  return size;
}

// One transfer.
class Transfer final {
 public:
  Transfer(const std::string& url, const Serving::Fields& fields) : handle_(curl_easy_init()) {
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_TIMEOUT, kPatience);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PATH_AS_IS, 1L);
    for (const auto& field : fields) add(field);
  }
  ~Transfer() {
    curl_slist_free_all(fields_);
    curl_easy_cleanup(handle_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  template <class T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(handle_, option, value);
  }
  void add(const std::string& field) { fields_ = curl_slist_append(fields_, field.c_str()); }
  int perform() {
    set(CURLOPT_HTTPHEADER, fields_);
    static_cast<void>(curl_easy_perform(handle_));
    long status = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }

 private:
  CURL* handle_;
  curl_slist* fields_ = nullptr;
};

}  // namespace

Serving::Serving(const World& world, const std::vector<std::string>& arguments,
                 std::uint16_t port) {
  std::vector<std::string> all = {"--json", "serve", "--listen",
                                  "127.0.0.1:" + std::to_string(port)};
  all.insert(all.end(), arguments.begin(), arguments.end());
  running_ = std::make_unique<Running>(world.start(all));
  const auto line = running_->line();
  const auto at = line ? line->find("http") : std::string::npos;
  if (at == std::string::npos)
    throw std::runtime_error("the server did not start: " + running_->finish().err);
  url_ = line->substr(at, line->find('"', at) - at);
  const Answer document = get("/api/v1/openapi.json");
  check_ = std::make_unique<OpenApiCheck>(document.body);
}

Serving::~Serving() = default;

std::uint16_t Serving::port() const {
  return static_cast<std::uint16_t>(std::stoi(url_.substr(url_.rfind(':') + 1)));
}

Answer Serving::send(const std::string& method, const std::string& target, const std::string& body,
                     const Fields& fields) {
  Answer answer;
  Transfer transfer(url_ + target, fields);
  bool has_type = false;
  for (const auto& field : fields) has_type = has_type || field.rfind("Content-Type:", 0) == 0;
  if (!body.empty() || method == "POST" || method == "PUT") {
    transfer.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    transfer.set(CURLOPT_COPYPOSTFIELDS, body.c_str());
    if (!has_type) transfer.add("Content-Type: application/json");
  }
  if (method == "HEAD") {
    transfer.set(CURLOPT_NOBODY, 1L);
  } else {
    transfer.set(CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  transfer.set(CURLOPT_WRITEFUNCTION, take_body);
  transfer.set(CURLOPT_WRITEDATA, &answer.body);
  transfer.set(CURLOPT_HEADERFUNCTION, take_field);
  transfer.set(CURLOPT_HEADERDATA, &answer.fields);
  answer.status = transfer.perform();
  // Compressed bodies are looked at by who asked for them.
  if (check_ && answer.status != 0 && answer.fields["content-encoding"].empty()) {
    const std::string fault =
        check_->fault(method, target, answer.status, answer.fields["content-type"], answer.body);
    EXPECT_EQ(fault, "") << method << " " << target << " " << answer.status << "\n" << answer.body;
  }
  return answer;
}

std::string Serving::events(const std::string& target, const std::string& until_type,
                            const Fields& fields) {
  Stream stream{.text = {}, .until = until_type};
  Transfer transfer(url_ + target, fields);
  transfer.set(CURLOPT_WRITEFUNCTION, take_events);
  transfer.set(CURLOPT_WRITEDATA, &stream);
  static_cast<void>(transfer.perform());
  return stream.text;
}

Finished Serving::stop() {
  running_->signal(SIGTERM);
  return running_->finish();
}

Finished Serving::finish() {
  return running_->finish();
}

}  // namespace tertulia::test
