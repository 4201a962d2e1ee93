# Reads the page in the file named and prints, as JSON, its elements, attributes and text, as an
# independent parser sees them.
import html.parser
import json
import sys


class Check(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.in_style = {}, [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [f"{tag}.{name}={value}" for name, value in attrs]
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, data):
        if not self.in_style:
            self.text.append(data)


check = Check()
check.feed(open(sys.argv[1], encoding="utf-8", errors="strict").read())
check.close()
json.dump({"tags": check.tags, "attributes": check.attributes, "text": "".join(check.text)}, sys.stdout)
