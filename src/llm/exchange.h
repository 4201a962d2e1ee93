// Exchange is one HTTP request and its response under way: a libcurl easy handle with what its
// callbacks need. Used by Transport's thread only.
#pragma once

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/transport.h"

namespace tertulia::llm {

class Exchange final {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whenever its deadline moves nearer, it puts its id into `hastened`.
  Exchange(std::uint64_t id, HttpRequest request, std::unique_ptr<Receiver> receiver,
           std::vector<std::uint64_t>& hastened);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] CURL* easy() const { return easy_.get(); }
  [[nodiscard]] std::uint64_t id() const { return id_; }

  // When the next deadline runs out.
  [[nodiscard]] Time due() const;
  // What to tell the receiver when it has run out.
  [[nodiscard]] Ending overdue(Time now) const;

  // What libcurl's result means.
  [[nodiscard]] Ending ending(CURLcode code) const;
  [[nodiscard]] bool is_draining() const { return draining_; }
  void end(const Ending& ending) { receiver_->on_end(ending); }

 private:
  struct FreeEasy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count,
                               void* self) noexcept;
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self) noexcept;
  static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;

  void set_options();
  bool take_header(std::string_view line);
  bool take_body(std::string_view bytes);
  void hasten(std::chrono::milliseconds left);

  std::uint64_t id_;
  HttpRequest request_;
  std::unique_ptr<Receiver> receiver_;
  std::vector<std::uint64_t>& hastened_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  ResponseHead head_;
  bool head_done_ = false;
  bool draining_ = false;
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  Time started_;
  std::optional<Time> last_event_;        // unset before the first byte
  std::optional<Time> last_call_;         // the end of afterwords or of draining
  std::optional<Ending> verdict_;         // ours, where we broke off
  std::unique_ptr<CURL, FreeEasy> easy_;  // freed first: it points to all of the above
};

}  // namespace tertulia::llm
