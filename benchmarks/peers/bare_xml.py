"""`python -m benchmarks.peers.bare_xml SOURCE TARGET`: the least one can do with lxml to answer each message."""

from __future__ import annotations

import sys

from lxml import etree


def main(source: str, target: str) -> None:
    """Write an Echo for each Call."""
    with open(target, "wb") as out:
        out.write(b"<messages>\n")
        for _, call in etree.iterparse(source, tag="Call"):
            echo = etree.Element("Echo")
            for part in call:
                etree.SubElement(echo, part.tag).text = part.text
            out.write(etree.tostring(echo) + b"\n")
            call.clear()
        out.write(b"</messages>\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
