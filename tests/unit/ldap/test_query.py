"""The query of a definition: each form, and a clear error for everything else."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ldap3.operation.search import compile_filter, parse_filter
from pyasn1.codec.ber import encoder

from contactsync.errors import QueryError
from contactsync.ldap.query.filter import MAX_DEPTH, check_filter
from contactsync.ldap.query.query import QUERY_FORMS, DirectoryQuery, Scope, ServerAddress, parse_query

PROPERTY = settings(deadline=None, database=None)
THOROUGH = settings(PROPERTY, max_examples=1000)


def server(host: str, port: int | None = None, *, ldaps: bool = False) -> ServerAddress:
    """An address."""
    return ServerAddress(host, port, ldaps)


ADSI_BASE = "OU=Users,DC=workgroup,DC=local"

FORMS = [
    # a host, with and without a port
    ("dc1", DirectoryQuery((server("dc1"),))),
    ("  DC1.Example.COM. ", DirectoryQuery((server("dc1.example.com"),))),
    ("dc1:3268", DirectoryQuery((server("dc1", 3268),))),
    ("dc1:636", DirectoryQuery((server("dc1", 636, ldaps=True),))),
    ("bücher.example", DirectoryQuery((server("xn--bcher-kva.example"),))),
    # addresses
    ("192.0.2.7", DirectoryQuery((server("192.0.2.7"),))),
    ("192.0.2.7:1389", DirectoryQuery((server("192.0.2.7", 1389),))),
    ("::1", DirectoryQuery((server("::1"),))),
    ("2001:DB8:0::7", DirectoryQuery((server("2001:db8::7"),))),
    ("[::1]", DirectoryQuery((server("::1"),))),
    ("[2001:db8::7]:3269", DirectoryQuery((server("2001:db8::7", 3269, ldaps=True),))),
    # several
    ("dc1 dc2:1389", DirectoryQuery((server("dc1"), server("dc2", 1389)))),
    ("dc1, dc2,dc1", DirectoryQuery((server("dc1"), server("dc2")))),
    ("dc1 ldaps://dc2", DirectoryQuery((server("dc1"), server("dc2", ldaps=True)))),
    (f"ldap://dc1 dc2/{ADSI_BASE}", DirectoryQuery((server("dc1"), server("dc2")), ADSI_BASE)),
    (
        f"ldap://dc1/{ADSI_BASE}, ldaps://dc2/{ADSI_BASE}",
        DirectoryQuery((server("dc1"), server("dc2", ldaps=True)), ADSI_BASE),
    ),
    # URLs
    ("ldap://dc1", DirectoryQuery((server("dc1"),))),
    ("LDAPS://dc1/", DirectoryQuery((server("dc1", ldaps=True),))),
    ("ldap://[::1]:1389/o=x", DirectoryQuery((server("::1", 1389),), "o=x")),
    (
        "ldap://dc1/ou=R%C3%A4ume,o=x?cn,MAIL;lang-de,2.5.4.4?One?(mail=*)?x-a=1,b",
        DirectoryQuery((server("dc1"),), "ou=Räume,o=x", Scope.ONE, "(mail=*)", ("cn", "MAIL;lang-de", "2.5.4.4")),
    ),
    ("ldap://dc1/o=a%3Fb??sub", DirectoryQuery((server("dc1"),), "o=a?b", Scope.SUB)),
    ("ldap://dc1/?first_name;lang_de?", DirectoryQuery((server("dc1"),), attributes=("first_name;lang_de",))),
    ("ldap://dc1/???first_name=A*", DirectoryQuery((server("dc1"),), filter="(first_name=A*)")),
    ("ldap://dc1/???mail=*", DirectoryQuery((server("dc1"),), filter="(mail=*)")),
    ("ldap://dc1?cn?base", DirectoryQuery((server("dc1"),), scope=Scope.BASE, attributes=("cn",))),
    # ADSI paths
    (f"LDAP://server/{ADSI_BASE}", DirectoryQuery((server("server"),), ADSI_BASE)),
    (f"ldap://Server:636/{ADSI_BASE}", DirectoryQuery((server("server", 636, ldaps=True),), ADSI_BASE)),
    (f"LDAP://{ADSI_BASE}", DirectoryQuery((), ADSI_BASE)),
    (f"lDaP://,{ADSI_BASE}", DirectoryQuery((), ADSI_BASE)),
    (f"LDAP:///{ADSI_BASE}", DirectoryQuery((), ADSI_BASE)),
    (f"LDAP://dc1,{ADSI_BASE}", DirectoryQuery((server("dc1"),), ADSI_BASE)),
    (f"GC://server/{ADSI_BASE}", DirectoryQuery((server("server", 3268),), ADSI_BASE)),
    ("LDAP://s/OU=100% Sales,O=x", DirectoryQuery((server("s"),), "OU=100% Sales,O=x")),
    (r"LDAP://s/CN=a\/b\\/c,O=x", DirectoryQuery((server("s"),), r"CN=a/b\\/c,O=x")),
    (r"LDAP://CN=Smith\, \"J\" 🎷,DC=x", DirectoryQuery((), r"CN=Smith\, \"J\" 🎷,DC=x")),
    ('LDAP://CN="Smith, J",DC=x', DirectoryQuery((), r"CN=Smith\, J,DC=x")),
    (r'LDAP://s/CN="#a; ",O=x', DirectoryQuery((server("s"),), r"CN=\#a\;\ ,O=x")),
    (r"LDAP://s/CN=a\  ,OU=b\\ ,O=x", DirectoryQuery((server("s"),), r"CN=a\ ,OU=b\\,O=x")),
    ("LDAP://s/<GUID=63560110f7e1d111>", DirectoryQuery((server("s"),), "<GUID=63560110f7e1d111>")),
    # names, and URLs without a scheme
    (ADSI_BASE, DirectoryQuery((), ADSI_BASE)),
    ("OU=My Users , DC=workgroup, DC=local", DirectoryQuery((), "OU=My Users,DC=workgroup,DC=local")),
    ("CN=a+UID=1,OU=C# team,OU=50%20,2.5.4.3=#0401,DC=x", None),
    (f"server/{ADSI_BASE}", DirectoryQuery((server("server"),), ADSI_BASE)),
]


@pytest.mark.parametrize(("text", "query"), FORMS)
def test_each_form_is_accepted(text: str, query: DirectoryQuery | None) -> None:
    """Each form gives its servers, base and the rest; None means the text itself as base."""
    assert parse_query(text) == (query or DirectoryQuery((), text))


@pytest.mark.parametrize("text", [text for text, _ in FORMS])
def test_the_canonical_form_means_the_same(text: str) -> None:
    """`str()` of a query is a list of URLs that parse to an equal query."""
    query = parse_query(text)
    assert re.fullmatch(r"(ldaps?://\S* ?)+", str(query))
    assert parse_query(str(query)) == query


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("DC1:636", "ldaps://dc1:636"),
        ("OU=My Users,DC=x", "ldap:///OU=My%20Users,DC=x"),
        ("ldap://a b/o=x?cn?sub?mail=*", "ldap://a/o=x?cn?sub?(mail=*) ldap://b/o=x?cn?sub?(mail=*)"),
        (r"LDAP://::1/CN=a?b", "ldap://[::1]/CN=a?b"),
        (r"LDAP://s/CN=a\,ldap://b", r"ldap://s/CN=a%5C,ldap%3A%2F%2Fb"),
    ],
)
def test_the_canonical_form_is_a_url(text: str, canonical: str) -> None:
    """The canonical form is one URL of RFC 4516 for each server, percent-encoded."""
    assert str(parse_query(text)) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("ldap://", "names no server"),
        ("OU=Users,O=Example", "names no server"),
        ("dc1:0", '"0" is not a port'),
        ("dc1:65536", '"65536" is not a port'),
        ("dc1:٣٨٩", '"٣٨٩" is not a port'),
        ("256.1.1.1", "not an IPv4 address"),
        ("10.1", "not an IPv4 address"),
        ("dc.1", "not a host name"),
        ("[::1", "brackets"),
        ("[dc1]", "brackets"),
        ("[::1]x", "brackets"),
        ("1::2::3", "not an IPv6 address"),
        ("fe80::1%eth0", "network interface"),
        ("-dc1", "not a host name"),
        ("dc 1!", '"1!" is not a host name'),
        ("my_host", "not a host name"),
        ("a..b", "not a host name"),
        ("x" * 64, "not a host name"),
        (".".join(["x" * 60] * 5), "not a host name"),
        ("straße.example", "two different hosts"),
        ("a／b.example", "not a host name"),  # noqa: RUF100, RUF001  # nameprep makes a slash of it
        ("é" * 300, "too long"),
        ("http://dc1/", '"http" is not ldap'),
        ("ldapi://%2Fvar%2Frun/", '"ldapi" is not ldap'),
        ("GC://DC=x,DC=y", "GC:// path needs a server"),
        ("ldap://a/o=x ldap://b/o=y", "differ"),
        ("ldap://a/o=x ldap://b", "differ"),
        ("LDAP://s/DC=local/DC=workgroup", "slashes"),
        ("OU=a,,DC=x", '",DC=x"'),
        ("OU=,DC=x", "no value"),
        ("OU=a\\", "not a part"),
        ("OU=a;b,DC=x", "not a part"),
        ("CN=a\\zz,DC=x", "not a part"),
        ('CN="a,DC=x', "not a part"),
        ("LDAP://s/hello", "not a part"),
        ("ldap://s/o=x?c n", '"c n" is not the name of an attribute'),
        ("ldap://s/o=x?cn,", '"" is not the name of an attribute'),
        ("ldap://s/o=x??subtree", '"subtree" is not a scope'),
        ("ldap://s/o=x???(cn=a", "not valid at"),
        ("ldap://s/o=x????!bindname=cn=a", "critical"),
        ("ldap://s/o=x????%21x", "critical"),
        ("ldap://s/o=x????a,,b", "not an extension"),
        ("ldap://s/o=x?????", "question marks"),
        ("ldap://s/o=%FF", "not UTF-8"),
        ("dc1\x00", "U+0000"),
        ("dc1\ndc2", "U+000A"),
        ("ldap://s/o=%00", "U+0000"),
        ("\ud800", "U+D800"),
        ("a" * 9000, "9000 characters"),
    ],
)
def test_an_error_names_what_is_not_valid(text: str, said: str) -> None:
    """Its hint shows the forms."""
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert said in caught.value.message
    assert caught.value.hint == QUERY_FORMS


@pytest.mark.parametrize(
    "text",
    [
        "ldap://anna:hunter2@dc1/o=x",
        "anna:hunter2@dc1",
        "ldap://anna:/hunter2@dc1/o=x",
        "ldap://anna:=hunter2@dc1/",
        "ftp://anna:hunter2@dc1",
    ],
)
def test_a_password_in_the_query_is_refused_and_not_shown(text: str) -> None:
    """A user and a password before the server."""
    with pytest.raises(QueryError, match="user or a password does not belong") as caught:
        parse_query(text)
    assert "hunter2" not in repr(caught.value) + str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("base", "domain"),
    [
        ("OU=Users,DC=Workgroup,DC=LOCAL", "workgroup.local"),
        ("dc=example, dc=com", "example.com"),
        ("0.9.2342.19200300.100.1.25=example", "example"),
        ("DC=a,OU=x,DC=b", "b"),
        ("DC=büro,DC=de", "xn--bro-hoa.de"),
        ("o=Example", None),
        ("DC=x,O=Example", None),
        ("OU=a+DC=b", None),
        ("DC=b+OU=a", None),
        (r"DC=a\,b,DC=com", None),
        ("<WKGUID=ab,DC=x>", None),
    ],
)
def test_the_domain_comes_from_the_last_dc_components(base: str, domain: str | None) -> None:
    """They are joined; without them there is no domain."""
    assert DirectoryQuery((), base).domain == domain


def test_a_query_without_a_base_has_no_domain() -> None:
    """There is nothing to ask DNS for."""
    assert parse_query("dc1").domain is None


@pytest.mark.parametrize(
    ("address", "port", "netloc"),
    [
        (server("dc1"), 389, "dc1:389"),
        (server("dc1", ldaps=True), 636, "dc1:636"),
        (server("::1", 1389), 1389, "[::1]:1389"),
    ],
)
def test_an_address_knows_its_port(address: ServerAddress, port: int, netloc: str) -> None:
    """The port that was given, or the default; `netloc` has an IPv6 address in brackets."""
    assert (address.port_or_default, address.netloc) == (port, netloc)


@pytest.mark.parametrize(
    "text",
    [
        "(cn=a)",
        "(cn=)",
        "(cn=*)",
        "(cn=a*b*c)",
        "(cn=*a*)",
        r"(cn=a\2ab\5c)",
        "(cn=Käse 🎷)",
        "(cn~=a)",
        "(uidNumber>=5)",
        "(uidNumber<=5)",
        "(2.5.4.3;lang-de=a)",
        "(cn:caseExactMatch:=a)",
        "(ou:dn:=a)",
        "(o:dn:2.5.13.5:=a)",
        "(:dn:2.5.13.5:=a)",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(&(a=b)(c=d))",
        "(!(a=b))",
        "( & (a=b) (| (c=d) (!(e=f)) ) )",
        "(!" * MAX_DEPTH + "(a=b)" + ")" * MAX_DEPTH,
    ],
)
def test_filters_of_rfc_4515_are_accepted(text: str) -> None:
    """They are returned unchanged, and ldap3 can encode them."""
    assert check_filter(text) == text
    assert octets_by_ldap3(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "(&)",
        "(!)",
        "(a)",
        "(=a)",
        "(a b=c)",
        "(:=a)",
        "(cn=a",
        "(cn=a))",
        "(cn=a)(cn=b)",
        "((cn=a))",
        "(cn=a*)(b)",
        "(cn=**)",
        "(cn=(a))",
        r"(cn=DOMAIN\user)",
        r"(cn=a\zz)",
        "(uidNumber>=*)",
        "(&(a=b)c)",
        "(!(a=b)(c=d))",
        "(&(a=b)",
        "(cn=a\x00)",
        "(!" * (MAX_DEPTH + 1) + "(a=b)" + ")" * (MAX_DEPTH + 1),
        "(&" * 4000,
    ],
)
def test_broken_filters_are_refused(text: str) -> None:
    """However deep they are nested."""
    with pytest.raises(QueryError):
        check_filter(text)


def octets_by_ldap3(text: str) -> bytes:
    """Encode a filter as ldap3 does for a search."""
    root = parse_filter(text, None, auto_escape=False, auto_encode=False, validator=None, check_names=False)
    return bytes(encoder.encode(compile_filter(root.elements[0])))


# Properties

PIECES = st.one_of(
    st.sampled_from(["ldap://", "LDAPS://", "gc://", "x://", "dc1", "::1", "389", "OU=a", "DC=x", "<GUID=", "sub"]),
    st.sampled_from(["\\,", "%20", "%2C", *'[]:/?, =()&|!*\\"%#+>ä🎷@']),
)
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("".join))


@given(ANY_TEXT)
@THOROUGH
@example("CN=\\" + '"' * 50)
@example("CN=" + "\\,\\" * 2000)
@example("ldap://s/???(cn=" + "a*" * 4000)
@example("," * 8000)
@example("(" * 8000)
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    """A query has a canonical form that means the same."""
    try:
        query = parse_query(text)
    except QueryError as error:
        assert error.message  # noqa: PT017
        return
    assert parse_query(str(query)) == query


@given(ANY_TEXT)
@THOROUGH
def test_every_accepted_filter_can_be_encoded(text: str) -> None:
    """By ldap3."""
    try:
        checked = check_filter(text)
    except QueryError as error:
        assert error.message  # noqa: PT017
        return
    assert octets_by_ldap3(checked)
    assert check_filter(checked) == checked


LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.one_of(
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: IPv6Address(address).compressed),
)
PORTS = st.one_of(st.none(), st.integers(1, 65535).filter(lambda port: port not in {636, 3269}))
SERVERS = st.builds(ServerAddress, host=HOSTS, port=PORTS, ldaps=st.booleans())
VALUE_CHARACTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters='\\"+,;<>')
ESCAPES = st.sampled_from([r"\,", r"\+", r"\"", r"\\", r"\ ", r"\2C", r"\C3\A9", r"\;", r"\<"])
DN_VALUES = st.lists(VALUE_CHARACTERS | ESCAPES, min_size=1, max_size=8).map(lambda parts: f"v{''.join(parts)}e")
RDNS = st.tuples(st.sampled_from(["OU", "cn", "2.5.4.11", "x-y"]), DN_VALUES).map("=".join)
BASES = st.lists(st.one_of(RDNS, st.tuples(RDNS, RDNS).map("+".join)), min_size=1, max_size=4).map(",".join)
FILTER_ITEMS = st.tuples(
    st.sampled_from(["cn=", "mail>=", "o~=", "x:dn:="]),
    st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\\*()"), max_size=8),
).map(lambda item: f"({item[0]}{item[1]})")
FILTERS = st.recursive(
    FILTER_ITEMS,
    lambda inner: st.one_of(
        inner.map(lambda one: f"(!{one})"),
        st.tuples(st.sampled_from("&|"), st.lists(inner, min_size=1, max_size=3)).map(
            lambda many: f"({many[0]}{''.join(many[1])})"
        ),
    ),
    max_leaves=6,
)
QUERIES = st.builds(
    DirectoryQuery,
    servers=st.lists(SERVERS, min_size=1, max_size=3, unique=True).map(tuple),
    base=st.none() | BASES,
    scope=st.none() | st.sampled_from(Scope),
    filter=st.none() | FILTERS,
    attributes=st.lists(st.sampled_from(["*", "+", "cn", "mail;lang-de", "2.5.4.3"]), max_size=3).map(tuple),
)


@given(QUERIES)
@PROPERTY
def test_every_query_parses_from_its_canonical_form(query: DirectoryQuery) -> None:
    """With every part."""
    assert parse_query(str(query)) == query


@given(SERVERS, BASES)
@PROPERTY
def test_an_adsi_path_has_a_server_and_a_name(address: ServerAddress, base: str) -> None:
    """`LDAP://server:port/name`, without percent-encoding."""
    name = base.replace("%", "").replace("?", "").replace("/", r"\/")
    query = parse_query(f"LDAP://{address.netloc}/{name}")
    assert query.base == name.replace(r"\/", "/")
    assert query.servers[0].netloc == address.netloc


DIFFERENT_SERVERS = st.lists(SERVERS, min_size=1, max_size=4, unique_by=lambda address: address.netloc)


@given(DIFFERENT_SERVERS, st.sampled_from([" ", ", "]))
@PROPERTY
def test_servers_keep_their_order(servers: list[ServerAddress], separator: str) -> None:
    """They are tried in the order of the query."""
    query = parse_query(separator.join(address.netloc for address in servers))
    assert [address.netloc for address in query.servers] == [address.netloc for address in servers]
