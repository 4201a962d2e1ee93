#include "llm/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace tertulia::llm {
namespace {

bool is_forbidden(const in_addr& address) {
  return (ntohl(address.s_addr) >> 16) == 0xA9FE;  // 169.254.0.0/16
}

bool is_forbidden(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address)) {
    in_addr inner{};
    std::memcpy(&inner, &address.s6_addr[12], sizeof inner);
    return is_forbidden(inner);
  }
  // fd00:ec2::254, the metadata service of EC2.
  static constexpr std::array<unsigned char, 16> kEc2{0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0,
                                                      0,    0, 0,    0,    0, 0, 2, 0x54};
  return IN6_IS_ADDR_LINKLOCAL(&address) ||
         std::equal(kEc2.begin(), kEc2.end(), std::begin(address.s6_addr));
}

std::string without_brackets(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host.substr(0, host.find('%')));  // a zone names an interface, no address
}

}  // namespace

bool is_forbidden_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return is_forbidden(v4.sin_addr);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return is_forbidden(v6.sin6_addr);
  }
  return true;
}

bool is_forbidden_host(std::string_view host) {
  const std::string literal = without_brackets(host);
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, literal.c_str(), &v4) == 1) return is_forbidden(v4);
  if (inet_pton(AF_INET6, literal.c_str(), &v6) == 1) return is_forbidden(v6);
  return false;
}

bool is_loopback_host(std::string_view host) {
  const std::string literal = without_brackets(host);
  if (literal == "localhost" || literal.ends_with(".localhost")) return true;
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, literal.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, literal.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return false;
}

}  // namespace tertulia::llm
