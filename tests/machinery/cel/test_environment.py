"""CEL as admission uses it: upstream's functions, types, error texts."""

from typing import Any

import pytest

from machinery.api.codec import Json
from machinery.cel import authorizer, requests
from machinery.cel.environment import CompileError, Environment, EvaluationError, Type

OBJECT: Json = {
    "metadata": {"namespace": "a", "labels": {"app.kubernetes.io/name": "x"}},
    "spec": {"replicas": 3, "memory": "1Gi", "items": [3, 1, 2], "empty": None},
}


@pytest.fixture(scope="module")
def environment() -> Environment:
    """One variable of any type."""
    return Environment({"object": Type.DYN})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("object.spec.replicas <= 5", True),
        ("object.metadata.namespace", "a"),
        ("object.metadata.labels['app.kubernetes.io/name'].startsWith('x')", True),
        ("has(object.spec.nothing) && object.spec.nothing == 1", False),
        ("object.spec.?nothing.orValue(7)", 7),
        ("object.?nothing.?more.hasValue()", False),
        ("object.spec.empty == null", True),
        ("object.spec.items.all(i, i > 0)", True),
        ("object.spec.items.map(i, i * 2).filter(i, i > 2)", [6, 4]),
        ("object.spec.items.exists_one(i, i == 2)", True),
        ("cel.bind(n, object.spec.replicas, n + 1)", 4),
        ("'%s has %d'.format(['x', 3])", "x has 3"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("['a', 'b'].join('-').upperAscii()", "A-B"),
        ("object.spec.items.sum()", 6),
        ("object.spec.items.min()", 1),
        ("object.spec.items.max()", 3),
        ("object.spec.items.isSorted()", False),
        ("object.spec.items.indexOf(2)", 2),
        ("object.spec.items.indexOf(9)", -1),
        ("[1, 2, 1].lastIndexOf(1)", 2),
        ("'abc'.indexOf('c')", 2),
        ("sets.contains([1, 2], [2])", True),
        ("sets.equivalent([1, 2], [2, 1, 1])", True),
        ("sets.intersects([1], [2])", False),
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'a1b2c3'.findAll('[0-9]')", ["1", "2", "3"]),
        ("'a1b2c3'.findAll('[0-9]', 2)", ["1", "2"]),
        ("quantity(object.spec.memory).isGreaterThan(quantity('500Mi'))", True),
        ("quantity('1').isLessThan(quantity('1000m'))", False),
        ("quantity('1').compareTo(quantity('2'))", -1),
        ("quantity('1Gi').sub(quantity('1Mi')).isLessThan(quantity('1Gi'))", True),
        ("quantity('50k').add(20).asInteger()", 50020),
        ("quantity('100m').isInteger()", False),
        ("quantity('-1').sign()", -1),
        ("quantity('1500m').asApproximateFloat()", 1.5),
        ("isQuantity('1.5Gi') && !isQuantity('much')", True),
        ("isURL('https://a.b/c') && !isURL('a b')", True),
        ("url('https://u@example.com:80/a%20b?x=1&x=2').getHost()", "example.com:80"),
        ("url('https://[::1]:80/a').getHostname()", "::1"),
        ("url('https://example.com:80/a%20b').getEscapedPath()", "/a%20b"),
        ("url('https://example.com/?x=1&x=2').getQuery()", {"x": ["1", "2"]}),
        ("ip('10.0.0.1').family()", 4),
        ("isIP('::1') && !isIP('10.0.0.256')", True),
        ("ip.isCanonical('2001:DB8::1')", False),
        ("ip('127.0.0.1').isLoopback()", True),
        ("ip('224.0.0.1').isLinkLocalMulticast()", True),
        ("ip('8.8.8.8').isGlobalUnicast()", True),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", True),
        ("cidr('10.0.0.0/8').containsIP(ip('11.1.2.3'))", False),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", True),
        ("cidr('10.1.0.0/8').masked() == cidr('10.0.0.0/8')", True),
        ("cidr('10.1.0.0/8').prefixLength()", 8),
        ("string(cidr('10.1.0.0/8').ip())", "10.1.0.0"),
        ("isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0')", True),
        ("object.spec.items.all(i, n, n > 0 && i < 3)", True),
        ("object.metadata.labels.exists(key, value, key.startsWith('app.') && value == 'x')", True),
        ("object.spec.items.existsOne(i, n, n == i)", False),
        ("object.spec.items.transformList(i, n, i * 10 + n)", [3, 11, 22]),
        ("object.spec.items.transformList(i, n, i > 0, n)", [1, 2]),
        ("object.spec.items.sort()", [1, 2, 3]),
        ("object.spec.items.sortBy(n, -n).slice(0, 2)", [3, 2]),
        ("[1, 1, 2].distinct() + [[1], [2]].flatten() + lists.range(2)", [1, 2, 1, 2, 0, 1]),
        ("object.spec.items.reverse().first().orValue(0)", 2),
        ("format.dns1123Label().validate('my-name').hasValue()", False),
        ("format.dns1123Label().validate('-').value().size()", 1),
        ("format.dns1035Label().validate('1a').hasValue()", True),
        ("format.dns1123LabelPrefix().validate('my-').hasValue()", False),
        ("format.dns1123SubdomainPrefix().validate('my.prefix.-').hasValue()", False),
        ("format.qualifiedName().validate('a/b/c').hasValue()", True),
        ("format.labelValue().validate('').hasValue()", False),
        ("format.uri().validate('x').value()", ['parse "x": invalid URI for request']),
        ("format.uri().validate('http://example.com').hasValue()", False),
        ("format.uuid().validate('123e4567-e89b-12d3-a456-42661417400').value()", ["does not match the UUID format"]),
        ("format.byte().validate('aGVsbG8=').hasValue() || format.date().validate('2021-02-29').hasValue()", True),
        ("format.datetime().validate('2021-01-01T00:00:00.5Z').hasValue()", False),
        ("format.datetime().validate('2021-01-01T24:00:00Z').value()", ["invalid datetime"]),
        ("format.named('dns1123Label').value().validate('a').hasValue()", False),
        ("format.named('color').hasValue()", False),
        ("format.byte().validate('?').optMap(all, all.join(' ')).orValue('')", "invalid base64"),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", True),
        ("semver('1.0.0-alpha.1').compareTo(semver('1.0.0-alpha.beta'))", -1),
        ("semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))", True),
        ("semver('1.2.3').minor()", 2),
        ("isSemver('v1.0') || isSemver('01.0.0')", False),
    ],
)
def test_an_expression_has_the_value_that_upstream_gives_it(
    environment: Environment, source: str, expected: Any
) -> None:
    assert environment.compile(source).evaluate({"object": OBJECT}) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("object.spec.nothing", "no such key: nothing"),
        ("object.spec.items[9]", "index out of bounds: 9"),
        ("1 / (object.spec.replicas - 3)", "division by zero"),
        ("object.spec.memory + 1", "no such overload"),
        ("[].min()", "min called on empty list"),
        ("quantity('much').isInteger()", "quantities must match"),
        ("format.date().validate('2024-02-29').value()", "dereference"),
        ("object.spec.memory.find('(')", "Illegal regex"),
    ],
)
def test_what_has_no_value_says_why(environment: Environment, source: str, text: str) -> None:
    with pytest.raises(EvaluationError, match=text.replace("[", r"\[").replace("(", r"\(")):
        environment.compile(source).evaluate({"object": OBJECT})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("object.spec.replicas +", "compilation failed: ERROR: <input>:1:23: Syntax error"),
        ("objet.spec", "undeclared reference to 'objet.spec'"),
        ("'a' + 1", "found no matching overload for '_+_' applied to '(string, int)'"),
        ("{'a': 1}.transformMap(key, value, value + 1)", "transformMap and transformMapEntry are not supported"),
        ("format.uri().validate('x').orValue([])", "found no matching overload for 'orValue'"),
        ("format.color().validate('red')", "undeclared reference to 'format"),
        ("quantity(1)", "found no matching overload for 'quantity'"),
        ("ip('::1').getHost()", "found no matching overload for 'getHost'"),
    ],
)
def test_what_does_not_compile_says_where(environment: Environment, source: str, text: str) -> None:
    with pytest.raises(CompileError) as problem:
        environment.compile(source)
    assert text in str(problem.value)


def test_a_result_of_another_type_is_refused(environment: Environment) -> None:
    with pytest.raises(CompileError, match="must evaluate to bool"):
        environment.compile("1 + 1", Type.BOOL)
    environment.compile("object.spec", Type.BOOL)  # only its value will tell


def test_variables_have_the_types_of_what_they_stand_for(environment: Environment) -> None:
    extended = environment.extended({"variables.n": environment.compile("1 + 1").type})
    assert extended.compile("variables.n + 1").evaluate({"variables.n": 2}) == 3
    with pytest.raises(CompileError, match="no matching overload"):
        extended.compile("variables.n + 'a'")


def test_the_authorizer_is_asked_what_the_expression_says() -> None:
    asked = []

    def decide(question: Any) -> tuple[bool, str]:
        asked.append(dict(question))
        return True, "because"

    environment = requests.environment(decide, lambda namespace, name: f"{namespace}/{name}")
    values = {"authorizer": authorizer.subject("me"), "authorizer.requestResource": None}
    check = "group('apps').resource('deployments').subresource('scale').namespace('n').name('d').check('update')"
    assert environment.compile(f"authorizer.{check}.allowed()").evaluate(values) is True
    assert environment.compile("authorizer.path('/healthz').check('get').reason()").evaluate(values) == "because"
    assert environment.compile("authorizer.serviceAccount('a', 'b').path('/').check('get').allowed()").evaluate(values)
    resource = {"group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "n", "name": "d"}
    assert asked == [
        {"user": "me", **resource, "verb": "update"},
        {"user": "me", "path": "/healthz", "verb": "get"},
        {"user": "a/b", "path": "/", "verb": "get"},
    ]
