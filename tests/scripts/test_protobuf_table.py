"""The maker of the protobuf table, on two packages as upstream lays them out."""

from pathlib import Path

import pytest

from machinery.api import protobuf
from scripts import protobuf_table

SHOP_PROTO = """
syntax = "proto2";
package k8s.io.api.shop.v1;

// Boat is what is sold.
message Boat {
  // +optional
  optional .k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta metadata = 1;
  optional Hull hull = 2;
  repeated string sails = 3;
  map<string, Extra> extra = 4;
  optional int32 seats = 5;
  optional string secret = 6;
  optional bool afloat = 7 [(gogoproto.nullable) = false];
  optional Hull spare = 8;
}
message Extra {
  repeated string items = 1;
}
message Hull {
  optional int64 length = 1;
  optional Boat tender = 2;
}
"""
SHOP_GO = """
type Boat struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	Hull `json:",inline" protobuf:"bytes,2,opt,name=hull"`
	Sails []string `json:"sails" protobuf:"bytes,3,rep,name=sails"`
	Extra map[string]Extra `json:"extra,omitempty" protobuf:"bytes,4,rep,name=extra"`
	Seats *int32 `json:"seats,omitempty" protobuf:"varint,5,opt,name=seats"`
	Secret string `json:"-" protobuf:"bytes,6,opt,name=secret"`
	Afloat bool `json:"is-afloat,omitempty" protobuf:"varint,7,opt,name=afloat"`
	Spare Hull `json:"spare,omitzero" protobuf:"bytes,8,opt,name=spare"`
}

type Extra []string

type Hull struct {
	Length int64 `json:"length" protobuf:"varint,1,opt,name=length"`
	Tender *Boat `json:"tender,omitempty" protobuf:"bytes,2,opt,name=tender"`
}
"""
META_PROTO = """
package k8s.io.apimachinery.pkg.apis.meta.v1;
message ObjectMeta {
  optional string name = 1;
  optional Time creationTimestamp = 8;
}
message Time {
  optional int64 seconds = 1;
}
"""
META_GO = """
type ObjectMeta struct {
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`
	CreationTimestamp Time `json:"creationTimestamp,omitempty" protobuf:"bytes,8,opt,name=creationTimestamp"`
}
"""


@pytest.fixture
def upstream(tmp_path: Path) -> protobuf_table.Upstream:
    files = {
        "api/shop/v1/generated.proto": SHOP_PROTO,
        "api/shop/v1/types.go": SHOP_GO,
        "api/shop/v1/register.go": 'const GroupName = "shop.example.com"\n',
        "apimachinery/pkg/apis/meta/v1/generated.proto": META_PROTO,
        "apimachinery/pkg/apis/meta/v1/types.go": META_GO,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return protobuf_table.read_upstream(tmp_path)


def test_a_kind_brings_all_that_it_reaches(upstream: protobuf_table.Upstream) -> None:
    wanted = [("shop.example.com/v1", "Boat"), (protobuf.ANY_VERSION, "ObjectMeta")]
    roots, messages = protobuf_table.build(upstream, wanted)
    assert roots == {"* ObjectMeta": "meta.v1.ObjectMeta", "shop.example.com/v1 Boat": "shop.v1.Boat"}
    assert messages == {
        "meta.v1.ObjectMeta": "1 name string, 8 creationTimestamp =Time",
        "shop.v1.Boat": (
            "1 metadata =meta.v1.ObjectMeta, 2 . =Hull, 3 sails []string, 4 extra {}Extra, 5 seats =int32, "
            "7 is-afloat bool, 8 spare Hull"
        ),
        "shop.v1.Extra": "1 . []string",
        "shop.v1.Hull": "1 length =int64, 2 tender =Boat",
    }


def test_a_field_without_a_json_name_is_told(upstream: protobuf_table.Upstream) -> None:
    del upstream.tags["shop.v1.Hull"][2]
    with pytest.raises(ValueError, match=r"shop\.v1\.Hull\.tender: no struct field"):
        protobuf_table.build(upstream, [("shop.example.com/v1", "Boat")])


def test_a_kind_upstream_does_not_have_is_told(upstream: protobuf_table.Upstream) -> None:
    with pytest.raises(KeyError, match="Ship"):
        protobuf_table.build(upstream, [("shop.example.com/v1", "Ship")])


def test_the_table_that_is_there_has_what_is_wanted() -> None:
    table = protobuf._table()
    wanted = {f"{api_version} {kind}" for api_version, kind in protobuf_table.wanted_kinds()}
    assert set(table["kinds"]) == wanted
    assert protobuf_table.TABLE.read_text() == protobuf_table.render(table["kinds"], table["messages"])
