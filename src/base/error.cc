#include "base/error.h"

namespace tertulia::base {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::invalid:
      return "invalid";
    case Code::unavailable:
      return "unavailable";
    case Code::storage:
      return "storage";
    case Code::storage_full:
      return "storage_full";
    case Code::drift:
      return "schema_drift";
    case Code::timeout:
      return "timeout";
    case Code::cancelled:
      return "cancelled";
    case Code::rate_limited:
      return "rate_limited";
    case Code::incomplete:
      return "incomplete";
    case Code::denied:
      return "denied";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

int exit_status(Code code) {
  switch (code) {
    case Code::not_found:
    case Code::conflict:
    case Code::invalid:
    case Code::denied:
      return 2;
    case Code::drift:
    case Code::storage:
    case Code::storage_full:
      return 3;
    case Code::unavailable:
    case Code::timeout:
    case Code::rate_limited:
    case Code::incomplete:
      return 4;
    case Code::cancelled:
      return 130;
    case Code::internal:
      return 1;
  }
  return 1;
}

int http_status(Code code) {
  switch (code) {
    case Code::not_found:
      return 404;
    case Code::conflict:
      return 409;
    case Code::invalid:
      return 422;
    case Code::denied:
      return 403;
    case Code::rate_limited:
      return 429;
    case Code::unavailable:
    case Code::incomplete:
      return 502;
    case Code::drift:
    case Code::storage:
      return 503;
    case Code::storage_full:
      return 507;
    case Code::timeout:
      return 504;
    case Code::cancelled:
      return 499;
    case Code::internal:
      return 500;
  }
  return 500;
}

Error Error::in(std::string_view context) const {
  Error told = *this;
  told.message = std::string(context) + ": " + message;
  return told;
}

}  // namespace tertulia::base
