#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

namespace tertulia::base {

void start_log(LogLevel level) {
  auto logger = spdlog::stderr_logger_mt("tertulia");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  switch (level) {
    case LogLevel::error:
      logger->set_level(spdlog::level::err);
      break;
    case LogLevel::warn:
      logger->set_level(spdlog::level::warn);
      break;
    case LogLevel::info:
      logger->set_level(spdlog::level::info);
      break;
    case LogLevel::debug:
      logger->set_level(spdlog::level::debug);
      break;
  }
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace tertulia::base
