#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes src/dnssec/vectors.h: RRsets signed by two signers that know nothing of Shoal
(dnspython and BIND's dnssec-signzone) with every algorithm, the examples of the RFCs, and
the denial records of a small zone as BIND makes them.

  tools/dnssec_vectors.py > src/dnssec/vectors.h
  tools/dnssec_vectors.py fuzz/corpus   (seeds for the fuzzers dnssec and records)

Keys are new in every run: the file is committed, so that tests don't need the signers."""
import pathlib
import struct
import subprocess
import sys
import tempfile

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

BEGIN, END, NOW = 1767225600, 2082758400, 1800000000  # 2026-01-01, 2036-01-01, 2027-01-15
ALL = dns.dnssec.allow_all_policy  # SHA-1 too
ZONE = """$TTL 3600
$ORIGIN example.
@ SOA ns1 admin 1 3600 900 604800 300
@ NS ns1
@ MX 10 Mail.Example.
ns1 A 192.0.2.1
mail A 192.0.2.2
mail A 192.0.2.3
mail AAAA 2001:db8::2
alias CNAME Mail
*.wild TXT "from a wildcard"
host.deep.ent A 192.0.2.4
srv SRV 1 2 53 NS1.Example.
naptr NAPTR 1 2 "u" "sip" "!^.*$!x!" Mail
secure NS ns.secure
secure DS 12345 13 2 0101010101010101010101010101010101010101010101010101010101010101
ns.secure A 192.0.2.5
insecure NS ns.insecure
ns.insecure A 192.0.2.6
moved DNAME Elsewhere.Test.
"""
ALGORITHMS = {5: "RSASHA1", 7: "NSEC3RSASHA1", 8: "RSASHA256", 10: "RSASHA512",
              13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519", 16: "ED448"}
SIGNED = [("mail", "A"), ("@", "MX"), ("srv", "SRV"), ("naptr", "NAPTR"), ("moved", "DNAME")]

# The examples that the RFCs print: keys; RRset; its signature; DS; the time.
RFC = [
    ("RFC 5702 6.2", "example.net. 3600 IN DNSKEY 256 3 10 AwEAAdHoNTOW+et86KuJOWRDp1pndvwb6Y83nSVXXyLA3DLroROUkN6X0O6pnWnjJQujX/AyhqFDxj13tOnD9u/1kTg7cV6rklMrZDtJCQ5PCl/D7QNPsgVsMu1J2Q8gpMpztNFLpPBz1bWXjDtaR7ZQBlZ3PFY12ZTSncorffcGmhOL",
     "www.example.net. 3600 IN A 192.0.2.91",
     "A 10 3 3600 20300101000000 20000101000000 3740 example.net. tsb4wnjRUDnB1BUi+t6TMTXThjVnG+eCkWqjvvjhzQL1d0YRoOe0CbxrVDYd0xDtsuJRaeUw1ep94PzEWzr0iGYgZBWm/zpq+9fOuagYJRfDqfReKBzMweOLDiNa8iP5g9vMhpuv6OPlvpXwm9Sa9ZXIbNl1MBGk0fthPgxdDLw=",
     None, 1400000000),
    ("RFC 6605 6.1", "example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
     "www.example.net. 3600 IN A 192.0.2.1",
     "A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
     "55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17", 1283000000),
    ("RFC 6605 6.2", "example.net. 3600 IN DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
     "www.example.net. 3600 IN A 192.0.2.1",
     "A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
     "10771 14 4 72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6", 1283000000),
    ("RFC 8080 6.1", "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
     "example.com. 3600 IN MX 10 mail.example.com.",
     "MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
     "3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b", 1439000000),
    ("RFC 8080 6.1, second", "example.com. 3600 IN DNSKEY 257 3 15 zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
     "example.com. 3600 IN MX 10 mail.example.com.",
     "MX 15 2 3600 1440021600 1438207200 35217 example.com. zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
     "35217 15 2 401781b934e392de492ec77ae2e15d70f6575a1c0bc59c5275c04ebe80c6614c", 1439000000),
    ("RFC 8080 6.2", "example.com. 3600 IN DNSKEY 257 3 16 3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA",
     "example.com. 3600 IN MX 10 mail.example.com.",
     "MX 16 2 3600 1440021600 1438207200 9713 example.com. 3cPAHkmlnxcDHMyg7vFC34l0blBhuG1qpwLmjInI8w1CMB29FkEAIJUA0amxWndkmnBZ6SKiwZSAxGILn/NBtOXft0+Gj7FSvOKxE/07+4RQvE581N3Aj/JtIyaiYVdnYtyMWbSNyGEY2213WKsJlwEA",
     "9713 16 2 6ccf18d5bc5d7fc2fceb1d59d17321402f2aa8d368048db93dd811f5cb2b19c7", 1439000000),
    ("RFC 8080 6.2, second", "example.com. 3600 IN DNSKEY 257 3 16 kkreGWoccSDmUBGAe7+zsbG6ZAFQp+syPmYUurBRQc3tDjeMCJcVMRDmgcNLp5HlHAMy12VoISsA",
     "example.com. 3600 IN MX 10 mail.example.com.",
     "MX 16 2 3600 1440021600 1438207200 38353 example.com. E1/oLjSGIbmLny/4fcgM1z4oL6aqo+izT3urCyHyvEp4Sp8Syg1eI+lJ57CSnZqjJP41O/9l4m0AsQ4f7qI1gVnML8vWWiyW2KXhT9kuAICUSxv5OWbf81Rq7Yu60npabODB0QFPb/rkW3kUZmQ0YQUA",
     None, 1439000000),
]
RFC4035_KEY = "example. 3600 IN DNSKEY 256 3 5 AQOy1bZVvpPqhg4j7EJoM9rI3ZmyEx2OzDBVrZy/lvI5CQePxXHZS4i8dANH4DX3tbHol61ek8EFMcsGXxKciJFHyhl94C+NwILQdzsUlSFovBZsyl/NX6yEbtw/xN9ZNcrbYvgjjZ/UVPZIySFNsgEYvh0z2542lzMKR4Dh8uZffQ=="
RFC4035_KSK = "example. 3600 IN DNSKEY 257 3 5 AQOeX7+baTmvpVHb2CcLnL1dMRWbuscRvHXlLnXwDzvqp4tZVKp1sZMepFb8MvxhhW3y/0QZsyCjczGJ1qk8vJe52iOhInKROVLRwxGpMfzPRLMlGybr51bOV/1se0ODacj3DomyB4QB5gKTYot/K9alk5/j8vfd4jWCWD+E1Sze0Q=="
# Keys of 512 bits, as in RFC 5155, are refused: its hashes are in nsec3_test.c.
RFC4035_END = "3600 20040509183619 20040409183619 38519 example."
RFC4035 = [
    ("example. 3600 IN SOA ns1.example. bugs.x.w.example. 1081539377 3600 300 3600000 3600", "SOA 5 1",
     "ONx0k36rcjaxYtcNgq6iQnpNV5+drqYAsC9h7TSJaHCqbhE67Sr6aH2xDUGcqQWu/n0UVzrFvkgO9ebarZ0GWDKcuwlM6eNB5SiX2K74l5LWDA7S/Un/IbtDq4Ay8NMNLQI7Dw7n4p8/rjkBjV7j86HyQgM5e7+miRAz8V01b0I="),
    ("example. 3600 IN NS ns1.example.\nexample. 3600 IN NS ns2.example.", "NS 5 1",
     "gl13F00f2U0R+SWiXXLHwsMY+qStYy5k6zfdEuivWc+wd1fmbNCyql0Tk7lHTX6UOxc8AgNf4ISFve8XqF4q+o9qlnqIzmppU3LiNeKT4FZ8RO5urFOvoMRTbQxW3U0hXWuggE4g3ZpsHv480HjMeRaZB/FRPGfJPajngcq6Kwg="),
    ("example. 3600 IN NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY", "NSEC 5 1",
     "O0k558jHhyrC97ISHnislm4kLMW48C7U7cBmFTfhke5iVqNRVTB1STLMpgpbDIC9hcryoO0VZ9ME5xPzUEhbvGnHd5sfzgFVeGxr5Nyyq4tWSDBgIBiLQUv1ivy29vhXy7WgR62dPrZ0PWvmjfFJ5arXf4nPxp/kEowGgBRzY/U="),
    ("ai.example. 3600 IN HINFO \"KLH-10\" \"ITS\"", "HINFO 5 2",
     "Iq/RGCbBdKzcYzlGE4ovbr5YcB+ezxbZ9W0le/7WqyvhOO9J16HxhhL7VY/IKmTUY0GGdcfhZEOCkf4lEykZF9NPok1/R/fWrtzNp8jobuY7AZEcZadp1WdDF3jc2/ndCa5XZhLKD3JzOsBwFvL8sqlS5QS6FY/ijFEDnI4RkZA="),
    ("a.z.w.example. 3600 IN MX 1 ai.example.", "MX 5 2",  # B.6: from *.w.example
     "OMK8rAZlepfzLWW75Dxd63jy2wswESzxDKG2f9AMN1CytCd10cYISAxfAdvXSZ7xujKAtPbctvOQ2ofO7AZJ+d01EeeQTVBPq4/6KCWhqe2XTjnkVLNvvhnc0u28aoSsG0+4InvkkOHknKxw4kX18MMR34i8lC36SR5xBni8vHI="),
    ("x.y.w.example. 3600 IN NSEC xx.example. MX RRSIG NSEC", "NSEC 5 4",
     "OvE6WUzN2ziieJcvKPWbCAyXyP6ef8cr6CspArVSTzKSquNwbezZmkU7E34o5lmb6CWSSSpgxw098kNUFnHcQf/LzY2zqRomubrNQhJTiDTXa0ArunJQCzPjOYq5t0SLjm6qp6McJI1AP5VrQoKqJDCLnoAlcPOPKAm/jJkn3jk="),
]


def wire(rdata):
    return rdata.to_wire().hex()


def text(s):
    return '"%s"' % s.replace("\\", "\\\\").replace('"', '\\"')


def strings(values):
    """C strings, cut so that lines stay short; NULL ends the list."""
    out = []
    for v in values:
        parts = [v[i:i + 72] for i in range(0, len(v), 72)] or [""]
        out.append("\n\t\t\t".join('"%s"' % p for p in parts))
    return "{ " + ",\n\t\t\t".join(out + ["0"]) + " }"


def emit(name, zone, now, owner, rrtype, ttl, keys, ds, rdata, sigs):
    print("\t{ %s, %s, %du, %s, %d, %d,\n\t\t%s,\n\t\t%s,\n\t\t%s,\n\t\t%s },"
          % (text(name), text(zone), now, text(owner), rrtype, ttl, strings(keys), strings(ds),
             strings(rdata), strings(sigs)))


def rrset(lines):
    parts = [l.split(None, 4) for l in lines.split("\n")]
    return dns.rrset.from_text(parts[0][0], 3600, "IN", parts[0][3], *[p[4] for p in parts])


def emit_rfc():
    for name, key, data, sig, ds, now in RFC:
        keys, rr = rrset(key), rrset(data)
        sigs = dns.rrset.from_text(rr.name, 3600, "IN", "RRSIG", sig)
        dss = [wire(dns.rrset.from_text(keys.name, 3600, "IN", "DS", ds)[0])] if ds else []
        emit(name, keys.name.to_text(), now, rr.name.to_text(), rr.rdtype, 3600,
             map(wire, keys), dss, map(wire, rr), map(wire, sigs))
    keys = [wire(rrset(k)[0]) for k in (RFC4035_KEY, RFC4035_KSK)]
    for data, head, sig in RFC4035:
        rr = rrset(data)
        sigs = dns.rrset.from_text(rr.name, 3600, "IN", "RRSIG",
                                   "%s %s %s" % (head, RFC4035_END, sig))
        emit("RFC 4035 B " + head, "example.", 1081800000, rr.name.to_text(), rr.rdtype, 3600,
             keys, [], map(wire, rr), map(wire, sigs))


def make_key(algorithm):
    if algorithm in (5, 7, 8, 10):
        return rsa.generate_private_key(65537, 1024)
    return {13: lambda: ec.generate_private_key(ec.SECP256R1()),
            14: lambda: ec.generate_private_key(ec.SECP384R1()),
            15: ed25519.Ed25519PrivateKey.generate,
            16: ed448.Ed448PrivateKey.generate}[algorithm]()


def digests(zone, key):
    return [wire(dns.dnssec.make_ds(zone, key, d, policy=ALL)) for d in ("SHA1", "SHA256", "SHA384")]


def emit_dnspython(algorithm):
    private = make_key(algorithm)
    apex = dns.name.from_text("example.")
    key = dns.dnssec.make_dnskey(private.public_key(), algorithm, flags=257)
    zone = dns.zone.from_text(ZONE, relativize=False, origin=apex)
    keys = dns.rrset.from_rdata(apex, 3600, key)
    sets = [zone.find_rrset(dns.name.from_text(n, apex), t) for n, t in SIGNED] + [keys]
    # no wildcard: dnspython 2.3 counts the label "*", against RFC 4034 section 3.1.3
    for rr in sets:
        sig = dns.dnssec.sign(rr, private, apex, key, inception=BEGIN, expiration=END,
                              policy=ALL)
        emit("dnspython %d" % algorithm, "example.", NOW, rr.name.to_text(), rr.rdtype, rr.ttl,
             [wire(key)], digests(apex, key) if rr is keys else [], map(wire, rr), [wire(sig)])


def emit_revoked():
    """A revoked key that signs the set which says so: RFC 5011 section 2.1."""
    private, apex = make_key(13), dns.name.from_text("example.")
    key = dns.dnssec.make_dnskey(private.public_key(), 13, flags=257 | 128)
    keys = dns.rrset.from_rdata(apex, 3600, key)
    sig = dns.dnssec.sign(keys, private, apex, key, inception=BEGIN, expiration=END, policy=ALL)
    emit("revoked", "example.", NOW, "example.", 48, 3600, [wire(key)],
         digests(apex, key), [wire(key)], [wire(sig)])


def run(folder, *command):
    return subprocess.run(command, cwd=folder, check=True, capture_output=True,
                          text=True).stdout.strip()


def bind_zone(algorithm, *options):
    """The zone as dnssec-signzone signs it, and its keys."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        size = {5: "1024", 7: "1024", 8: "2048", 10: "1024"}.get(algorithm)
        size = ["-b", size] if size else []
        names = [run(folder, "dnssec-keygen", "-q", "-a", ALGORITHMS[algorithm], *size, *more,
                     "example") for more in (["-f", "KSK"], [])]
        (path / "zone").write_text(ZONE + "".join((path / (n + ".key")).read_text()
                                                  for n in names))
        run(folder, "dnssec-signzone", "-o", "example", "-s", "20260101000000", "-e",
            "20360101000000", "-f", "signed", "-O", "full", *options, "zone")
        apex = dns.name.from_text("example.")
        return dns.zone.from_file(str(path / "signed"), relativize=False, origin=apex)


def covering(zone, name, rrtype):
    return zone.get_rrset(name, "RRSIG", covers=rrtype)


def emit_bind(algorithm):
    apex = dns.name.from_text("example.")
    zone = bind_zone(algorithm, *(["-3", "aabb", "-H", "1"] if algorithm == 7 else []))
    keys = zone.find_rrset(apex, "DNSKEY")
    ksk = next(k for k in keys if k.flags == 257)
    sets = [(n, t, n) for n, t in SIGNED] + [("@", "DNSKEY", "@"), ("*.wild", "TXT", "a.b.wild")]
    if algorithm != 7:
        sets.append(("mail", "NSEC", "mail"))
    for name, rrtype, shown in sets:
        name = dns.name.from_text(name, apex)
        rr = zone.find_rrset(name, rrtype)
        emit("bind %d" % algorithm, "example.", NOW, dns.name.from_text(shown, apex).to_text(),
             rr.rdtype, rr.ttl, map(wire, keys), digests(apex, ksk) if rrtype == "DNSKEY" else [], map(wire, rr),
             map(wire, covering(zone, name, rrtype)))


def emit_denial(name, *options):
    zone = bind_zone(13, *options)
    for rr in sorted(zone.iterate_rdatasets(), key=lambda x: x[0]):
        owner, rds = rr
        if rds.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3):
            print("\t{ %s, %s, %d,\n\t\t%s }," % (text(name), text(owner.to_text()), rds.rdtype,
                                                  strings([wire(rds[0])])[2:-5]))


def items(kind, rdatas):
    return b"".join(struct.pack(">H", kind << 14 | len(r)) + r
                    for r in (x.to_wire() for x in rdatas))


def seeds(folder):
    """The fuzzer's input: zone, owner, type, time, items (see src/dnssec/dnssec_fuzz.c)."""
    apex = dns.name.from_text("example.")
    for algorithm, options in ((8, []), (13, []), (14, []), (15, []), (16, []),
                               (7, ["-3", "aabb", "-H", "1", "-A"])):
        zone = bind_zone(algorithm, *options)
        keys = zone.find_rrset(apex, "DNSKEY")
        ksk = next(k for k in keys if k.flags == 257)
        ds = dns.dnssec.make_ds(apex, ksk, "SHA256")
        mx_sig = covering(zone, apex, dns.rdatatype.MX)
        nsec = zone.find_rrset(apex, "NSEC") if algorithm != 7 else next(
            r for _, r in zone.iterate_rdatasets() if r.rdtype == dns.rdatatype.NSEC3)
        for kind, rdata in (("dnskey", ksk), ("rrsig", mx_sig[0]), ("ds", ds), ("nsec", nsec[0])):
            (folder / "records" / ("%s-%d" % (kind, algorithm))).write_bytes(
                bytes([algorithm]) + rdata.to_wire())
        (folder / "records" / ("key-%d" % algorithm)).write_bytes(bytes([algorithm]) + ksk.key)
        for name, rds in zone.iterate_rdatasets():
            sig = covering(zone, name, rds.rdtype)
            wanted = rds.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3,
                                    dns.rdatatype.MX, dns.rdatatype.TXT)
            if not sig or not wanted or (algorithm in (14, 15, 16) and rds.rdtype != 15):
                continue
            label = name.labels[0].decode().replace("*", "star")[:12] or "apex"
            text_type = dns.rdatatype.to_text(rds.rdtype).lower()
            (folder / "dnssec" / ("%s-%d-%s" % (text_type, algorithm, label))).write_bytes(
                apex.to_wire() + name.to_wire() + struct.pack(">HI", rds.rdtype, NOW)
                + items(0, rds) + items(1, sig) + items(2, keys) + items(3, [ds]))


def main():
    if len(sys.argv) > 1:
        seeds(pathlib.Path(sys.argv[1]))
        return
    print("/* SPDX-License-Identifier: GPL-3.0-or-later */\n"
          "/* Made by tools/dnssec_vectors.py. RDATA as hex. */\n"
          "/* clang-format off */\n"
          "__attribute__((unused)) static const struct vector vectors[] = {")
    emit_rfc()
    for algorithm in ALGORITHMS:
        emit_dnspython(algorithm)
        emit_bind(algorithm)
    emit_revoked()
    print("};\n")
    print("__attribute__((unused)) static const struct denial_vector denial_vectors[] = {")
    emit_denial("nsec")
    emit_denial("nsec3", "-3", "-", "-H", "0")
    emit_denial("salted", "-3", "aabbccdd", "-H", "5")
    emit_denial("optout", "-3", "-", "-H", "0", "-A")
    print("};")


main()
