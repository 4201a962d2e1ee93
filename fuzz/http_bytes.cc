// Raw bytes on a connection of the real server. Whatever they are, it ends the connection, what it
// says is HTTP, no answer says that the server is at fault, and others are served.
#include "served.h"
#include "support/http_client.h"
#include "target.h"

TERTULIA_FUZZ(http_bytes) {
  using tertulia::fuzz::must_hold;
  const auto& server = tertulia::fuzz::served();
  {
    // Every server listens on a port of its own: "\1" stands for it, so that inputs last.
    std::string bytes(input);
    const std::string port = server.url().substr(server.url().rfind(':') + 1);
    for (std::size_t at = bytes.find('\1'); at != bytes.npos; at = bytes.find('\1', at + 1))
      bytes.replace(at, 1, port);
    tertulia::test::HttpClient client(server.url());
    if (client.send(bytes)) client.end_sending();
    const std::string said = client.rest();
    must_hold(said.empty() || said.starts_with("HTTP/1."), "what the server says is HTTP");
    // Bodies repeat what was sent, but no line ends.
    for (const char* fault : {" 500 Internal Server Error\r\n", " 502 Bad Gateway\r\n",
                              " 503 Service Unavailable\r\n", " 504 Gateway Timeout\r\n"})
      must_hold(said.find(fault) == said.npos, "no input is the server's fault");
  }
  tertulia::fuzz::must_serve(server);
}
