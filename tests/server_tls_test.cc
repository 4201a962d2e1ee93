// The server with a certificate of its own: who knows it is served over TLS, events too, and nobody
// else is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/flows.h"
#include "support/http_client.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

class ServerTlsTest : public testing::Test {
 protected:
  // Makes NAME.crt and NAME.key, self-signed, for the name (DNS:... or IP:...).
  void certify(const std::string& name, const std::string& subject) const {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=tertulia -addext subjectAltName=" +
        subject + " -keyout " + there_.path(name + ".key") + " -out " + there_.path(name + ".crt") +
        " 2>" + there_.path("openssl.log");
    ASSERT_EQ(std::system(command.c_str()), 0) << read_file(there_.path("openssl.log"));
  }
  Words serving(const std::string& certificate, const std::string& key) const {
    const std::string config =
        there_.write("config.yaml", "server: { certificate: '" + there_.path(certificate) +
                                        "', key: '" + there_.path(key) + "' }\n");
    return {"--json",   "serve", "--listen", "127.0.0.1:0",
            "--config", config,  "--model",  "rehearsal"};
  }
  void serve() {
    running_ = std::make_unique<Running>(there_.start(serving("own.crt", "own.key")));
    const auto line = running_->line();
    ASSERT_TRUE(line) << running_->finish().err;
    const auto at = line->find("https://");
    ASSERT_NE(at, std::string::npos) << *line;
    url_ = line->substr(at, line->find('"', at) - at);
  }
  Finished ask(Words words, const std::string& certificate = {}) const {
    words.insert(words.end(), {"--server", url_});
    if (!certificate.empty()) words.insert(words.end(), {"--ca-file", there_.path(certificate)});
    return client_.run(words);
  }

  World there_, client_;
  std::unique_ptr<Running> running_;
  std::string url_;
};

TEST_F(ServerTlsTest, WhoKnowsTheCertificateIsServedAndNobodyElse) {
  certify("own", "IP:127.0.0.1");
  certify("other", "IP:127.0.0.1");
  serve();
  const Finished run = ask({"run", "debate", "--seed", "7", "--json"}, "own.crt");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr(R"("type":"session.finished")"));
  EXPECT_EQ(ask({"session", "replay", "1"}, "own.crt").status, 0);

  for (const char* const certificate : {"", "other.crt"}) {
    const Finished refused = ask({"session", "list"}, certificate);
    EXPECT_EQ(refused.status, 2) << certificate << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("does not prove who it is")) << certificate;
    EXPECT_THAT(refused.err, HasSubstr("--ca-file"));
  }
  const Finished missing = ask({"session", "list"}, "no-such.crt");
  EXPECT_EQ(missing.status, 2) << missing.err;

  // Who speaks without TLS to it harms nobody.
  const std::string open = "http://" + url_.substr(url_.find("//") + 2);
  EXPECT_EQ(HttpClient(open).ask("GET", "/healthz").status, 0);
  EXPECT_EQ(ask({"session", "list"}, "own.crt").status, 0);
}

TEST_F(ServerTlsTest, ACertificateOfAnotherNameProvesNothing) {
  certify("own", "DNS:tertulia.example");
  serve();
  const Finished refused = ask({"session", "list"}, "own.crt");
  EXPECT_EQ(refused.status, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("does not prove who it is"));
}

TEST_F(ServerTlsTest, WhatIsNoCertificateIsToldAtTheStart) {
  certify("own", "IP:127.0.0.1");
  certify("other", "IP:127.0.0.1");
  there_.write("none.crt", "not a certificate\n");
  for (const auto& [certificate, key] :
       {std::pair{"own.crt", "other.key"}, {"none.crt", "own.key"}, {"own.crt", "no-such.key"}}) {
    const Finished refused = there_.run(serving(certificate, key));
    EXPECT_EQ(refused.status, 2) << certificate << key << refused.err;
    EXPECT_THAT(refused.err,
                testing::AnyOf(HasSubstr(there_.path(certificate)), HasSubstr(there_.path(key))));
  }
}

}  // namespace
}  // namespace tertulia::test
