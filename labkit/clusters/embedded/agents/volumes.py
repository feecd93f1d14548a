"""A pod's volumes as folders of this machine: ConfigMap, Secret, downward API, projected, emptyDir, claims."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.agents.settings import Lacking, field_of, keys_of, resource_of
from labkit.clusters.embedded.api import Api

Object = dict[str, Any]
_WRITTEN = ("configMap", "secret", "downwardAPI", "projected")


class Volumes:
    """The folders of one pod.

    Args:
        api: The cluster's objects.
        root: The cluster's own folder.
        uid: The pod's.
        allocatable: What its node has, for the downward API.
    """

    def __init__(self, api: Api, root: Path, uid: str, allocatable: Object) -> None:
        self._api, self._root, self._allocatable = api, root, allocatable
        self.folder = root / "pods" / uid

    def lay(self, pod: Object) -> None:
        """Make or refresh all folders, and the files that tell a container its name and where to ask for names.

        Raises:
            Lacking: Something that a volume asks for is not there, or can't be had on this cluster.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for volume in pod["spec"].get("volumes") or ():
            kind = next((name for name in volume if name != "name"), "emptyDir")
            place = self._place(pod, volume)
            if kind in _WRITTEN:
                try:
                    self._fill(place, self._files(pod, volume[kind], kind), volume[kind])
                except Lacking as lacking:
                    raise Lacking(
                        f'MountVolume.SetUp failed for volume "{volume["name"]}" : {lacking}'
                    ) from None
            elif not place.exists():
                place.mkdir(parents=True)
                place.chmod(0o777)

    def write(self, name: str, text: str) -> Path:
        """A file beside the volumes, such as `hosts`."""
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def binds(self, pod: Object, container: Object) -> list[str]:
        """What is mounted into a container, as the engine takes it.

        Raises:
            Lacking: A path below a volume is not there or leads out of it.
        """
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        found = []
        for mount in container.get("volumeMounts") or ():
            volume = volumes[mount["name"]]
            source = self._place(pod, volume)
            written = any(kind in volume for kind in _WRITTEN)
            if below := mount.get("subPath"):
                source = self._below(source, below, make=not written)
            readonly = mount.get("readOnly") or written
            found.append(f"{source}:{mount['mountPath']}" + (":ro" if readonly else ""))
        return found

    def used(self, pod: Object) -> dict[str, tuple[int, int]]:
        """Bytes in each emptyDir that has a limit, and the limit."""
        found = {}
        for volume in pod["spec"].get("volumes") or ():
            if limit := (volume.get("emptyDir") or {}).get("sizeLimit"):
                place = self._place(pod, volume)
                held = sum(one.lstat().st_size for one in place.rglob("*") if not one.is_dir())
                found[volume["name"]] = (held, int(quantities.parse(limit)))
        return found

    def remove(self) -> None:
        """Delete the folders; claims stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, pod: Object, volume: Object) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            name, namespace = claim["claimName"], pod["metadata"]["namespace"]
            found = self._api.find("persistentvolumeclaims", namespace, name)
            if found is None:
                raise Lacking(f'persistentvolumeclaim "{name}" not found')
            if found.get("status", {}).get("phase") != "Bound":
                raise Lacking(f'persistentvolumeclaim "{name}" is not bound')
            # By the claim's own id: `volumeName` is text that whoever made the claim may have written.
            return self._root / "claims" / f"pvc-{found['metadata']['uid']}"
        kind = next((name for name in volume if name != "name"), "emptyDir")
        if kind not in ("emptyDir", *_WRITTEN):
            raise Lacking(
                f'volume "{volume["name"]}": the embedded cluster has no {kind} volumes; '
                "there are configMap, secret, downwardAPI, projected, emptyDir and persistentVolumeClaim"
            )
        return self.folder / "volumes" / str(volume["name"])

    def _below(self, source: Path, below: str, *, make: bool) -> Path:
        """The path below a volume; a link that a container laid there must not lead out of it."""
        path = source / below
        if not path.resolve().is_relative_to(source.resolve()):
            raise Lacking(f'subPath "{below}" leads out of its volume')
        if not path.exists():
            if not make:
                raise Lacking(f'subPath "{below}" is not in its volume')
            path.mkdir(parents=True)
            path.chmod(0o777)
        return path

    def _files(self, pod: Object, source: Object, kind: str) -> dict[str, bytes]:
        namespace = pod["metadata"]["namespace"]
        if kind == "projected":
            found: dict[str, bytes] = {}
            for part in source.get("sources") or ():
                inner = next(iter(part), "")
                if inner not in _WRITTEN:
                    raise Lacking(f"the embedded cluster projects no {inner}")
                found.update(self._files(pod, part[inner], inner))
            return found
        if kind == "downwardAPI":
            return {item["path"]: self._downward(pod, item).encode() for item in source.get("items") or ()}
        name = source.get("secretName") if "secretName" in source else source.get("name", "")
        optional = bool(source.get("optional"))
        held = keys_of(self._api, kind.lower(), namespace, str(name), optional=optional)
        if items := source.get("items"):
            for item in items:
                if item["key"] not in held and not optional:
                    raise Lacking(f"references non-existent {kind.lower()} key: {item['key']}")
            return {item["path"]: held[item["key"]] for item in items if item["key"] in held}
        return held

    def _downward(self, pod: Object, item: Object) -> str:
        if reference := item.get("fieldRef"):
            return field_of(pod, reference["fieldPath"])
        return resource_of(pod, pod["spec"]["containers"][0], item["resourceFieldRef"], self._allocatable)

    def _fill(self, place: Path, files: dict[str, bytes], source: Object) -> None:
        """Write what changed, each file in one step, and take away what is no longer there."""
        place.mkdir(parents=True, exist_ok=True)
        mode = int(source.get("defaultMode") or 0o644)
        for name, data in files.items():
            path = place / name
            if not path.resolve().is_relative_to(place.resolve()):
                raise Lacking(f'path "{name}" leads out of its volume')
            if path.exists() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.new")
            draft.write_bytes(data)
            draft.chmod(mode)
            draft.replace(path)
        for old in [one for one in place.rglob("*") if one.is_file()]:
            if str(old.relative_to(place)) not in files:
                old.unlink()
