"""Files the agent writes."""

import json
from pathlib import Path

from cni import host


def test_the_configuration_is_written_once_and_leaves_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "net.d"
    assert host.write_conflist(folder, {"name": "skiff"})
    assert not host.write_conflist(folder, {"name": "skiff"})
    assert host.write_conflist(folder, {"name": "skiff", "plugins": []})
    assert [path.name for path in folder.iterdir()] == ["10-skiff.conflist"]
    assert json.loads((folder / "10-skiff.conflist").read_text()) == {"name": "skiff", "plugins": []}
