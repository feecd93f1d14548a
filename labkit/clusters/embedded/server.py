"""The API over HTTP, as kubectl and the official clients speak it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from labkit.clusters.embedded import discovery, errors, requests, selectors, subresources, tables
from labkit.clusters.embedded.api import MOST_BYTES, Admission, Api, timestamp
from labkit.clusters.embedded.autoscaling.served import ServedMetrics
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.requests import Target
from labkit.clusters.embedded.store import Stored
from labkit.clusters.embedded.streams.pods import Streams
from labkit.clusters.embedded.users.users import Users
from labkit.clusters.embedded.watches import Watch

Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_GIVEN_BACK = ("pods", "services", "serviceaccounts", "persistentvolumeclaims")
"""A deletion of these answers with the object as it was last, of others with a Status."""
_OPEN = ("/healthz", "/livez", "/readyz")


class Server:
    """Answers requests about one cluster's objects.

    Args:
        api: The objects.
        users: Those who may ask, and for what.
        metrics: Answers what is asked about metrics.
        streams: Serves logs, exec, attach and port-forward; without one they are refused.
    """

    def __init__(
        self, api: Api, users: Users, metrics: ServedMetrics, streams: Streams | None = None
    ) -> None:
        self.api, self.users = api, users
        self.metrics, self.streams = metrics, streams
        self._documents: dict[tuple[str, int], bytes] = {}

    def application(self) -> web.Application:
        """What aiohttp serves."""
        application = web.Application(middlewares=[self._guard], client_max_size=2 * MOST_BYTES)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            user = self.users.find(request.headers.get("Authorization", ""))
            if request.path not in _OPEN and user is None:
                raise errors.unauthorized()
            request["user"] = user
            return await handler(request)
        except ApiError as error:
            return _json(error.status(), error.code, error.headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in _OPEN:
            return web.Response(text="ok")
        if (found := self._about(request, path)) is not None:
            return found
        target = requests.target(self.api.resources, path)
        self.users.authorize(request["user"], request.method, target)
        if target.subresource and target.subresource != "status":
            return await self._subresource(request, target)
        if target.resource.key == "selfsubjectaccessreviews.authorization.k8s.io":
            review = await requests.body(request) or {}
            return _json(
                {**review, "status": {"allowed": True, "reason": "the embedded cluster has one user"}}, 201
            )
        method = {
            "GET": self._get,
            "POST": self._post,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        if request.method not in method or not _allows(target, request.method):
            raise errors.method_not_allowed(request.method)
        return await method[request.method](request, target)

    def _admission(self, request: web.Request) -> Admission | None:
        return self.users.admission(request["user"])

    def _about(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """Discovery and documents; None if the path is about objects."""
        if (metrics := self.metrics.answer(path, request.query)) is not None:
            return _json(metrics)
        if path == "/apis":
            self.metrics.announce()
        resources, parts = self.api.resources, path.strip("/").split("/")
        if path == "/version":
            return _json(discovery.VERSION)
        if path in ("/api", "/apis") and ";v=v2;" in request.headers.get("Accept", ""):
            body = orjson.dumps(discovery.aggregated(resources, core=path == "/api"))
            return web.Response(body=body, headers={"Content-Type": discovery.AGGREGATED})
        found: Object | None = None
        if path == "/api":
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        elif path == "/apis":
            found = discovery.group_list(resources)
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(resources, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resource_list(resources, parts[1], parts[2])
        elif parts[0] == "api" and len(parts) == 2:
            found = discovery.resource_list(resources, "", parts[1])
        elif path == "/openapi/v3":
            found = discovery.openapi_index(resources)
        elif path.startswith("/openapi/v3/"):
            return self._document(path)
        return None if found is None else _json(found)

    def _document(self, path: str) -> web.StreamResponse:
        key = (path, self.api.resources.version)
        if key not in self._documents:
            parts = path.removeprefix("/openapi/v3/").split("/")
            found = discovery.openapi(self.api.resources, parts[1] if parts[0] == "apis" else "", parts[-1])
            if found is None:
                raise errors.no_such_path()
            self._documents = {k: v for k, v in self._documents.items() if k[1] == key[1]}
            self._documents[key] = orjson.dumps(found)
        return web.Response(body=self._documents[key], content_type="application/json")

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.name:
            stored = self.api.get(target.resource, target.namespace or "", target.name)
            if requests.flag(request, "watch"):
                return await Watch(
                    self.api, target, lambda one: one.object["metadata"]["name"] == target.name, request
                ).serve()
            return self._one(request, target, stored)
        fits = self._fits(request, target)
        if requests.flag(request, "watch"):
            return await Watch(self.api, target, fits, request).serve()
        return self._list(request, target, fits)

    def _fits(self, request: web.Request, target: Target) -> Callable[[Stored], bool]:
        labels = selectors.by_labels(request.query.get("labelSelector", ""))
        fields = selectors.by_fields(target.resource.key, request.query.get("fieldSelector", ""))
        return lambda one: (labels is None or labels(one.object)) and (fields is None or fields(one.object))

    def _list(
        self, request: web.Request, target: Target, fits: Callable[[Stored], bool]
    ) -> web.StreamResponse:
        kept = [
            (f"{one.object['metadata'].get('namespace', '')}/{one.object['metadata']['name']}", one)
            for one in self.api.store.sorted(target.resource.key, target.namespace)
            if fits(one)
        ]
        try:
            limit = int(request.query.get("limit") or 0)
        except ValueError:
            raise errors.bad_request("limit is not a number") from None
        shown, token, remaining = requests.page(kept, limit, request.query.get("continue", ""))
        metadata: Object = {"resourceVersion": str(self.api.store.revision)}
        if token:
            metadata.update({"continue": token, "remainingItemCount": remaining})
        resource = target.resource
        if requests.wants_table(request):
            include = request.query.get("includeObject", "Metadata")
            return _json(tables.table(resource, [one.object for _, one in shown], metadata, include))
        head = orjson.dumps(
            {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        )
        body = head[:-1] + b',"items":[' + b",".join(one.data for _, one in shown) + b"]}"
        return web.Response(body=body, content_type="application/json")

    async def _post(self, request: web.Request, target: Target) -> web.StreamResponse:
        given = await requests.body(request)
        if given is None:
            raise errors.bad_request("the body of the request is empty")
        strict = request.query.get("fieldValidation", "Warn")
        stored, warned = self.api.create(
            target.resource, target.namespace or "", given, dry_run=requests.dry_run(request), strict=strict,
            admit=self._admission(request),
        )  # fmt: skip
        return self._one(request, target, stored, 201, warned)

    async def _put(self, request: web.Request, target: Target) -> web.StreamResponse:
        given = await requests.body(request)
        stored, warned = self.api.update(
            target.resource, target.namespace or "", target.name, given,
            status=target.subresource == "status", dry_run=requests.dry_run(request),
            strict=request.query.get("fieldValidation", "Warn"), admit=self._admission(request),
        )  # fmt: skip
        return self._one(request, target, stored, 200, warned)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        patch = await requests.body(request)
        kind = requests.PATCHES.get(request.content_type)
        if kind is None:
            raise errors.unsupported_media(request.content_type)
        stored, warned = self.api.patch(
            target.resource, target.namespace or "", target.name, patch, kind=kind,
            status=target.subresource == "status", dry_run=requests.dry_run(request),
            strict=request.query.get("fieldValidation", "Warn"), admit=self._admission(request),
        )  # fmt: skip
        return self._one(request, target, stored, 200, warned)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = {**(await requests.body(request) or {})}
        for name in ("gracePeriodSeconds", "propagationPolicy", "orphanDependents"):
            if name in request.query:
                text = request.query[name]
                options[name] = (
                    int(text) if text.isdigit() else text == "true" if text in ("true", "false") else text
                )
        options["dryRun"] = requests.dry_run(request, options)
        if not target.name:
            return self._delete_collection(request, target, options)
        stored, gone = self.api.delete(target.resource, target.namespace or "", target.name, options)
        if not gone or target.resource.key in _GIVEN_BACK:
            return self._one(request, target, stored)
        details = {"name": target.name, "group": target.resource.group, "kind": target.resource.plural}
        details = {name: value for name, value in details.items() if value}
        details["uid"] = stored.object["metadata"]["uid"]
        return _json(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def _delete_collection(self, request: web.Request, target: Target, options: Object) -> web.StreamResponse:
        fits = self._fits(request, target)
        meant = [one for one in self.api.store.sorted(target.resource.key, target.namespace) if fits(one)]
        for one in meant:
            metadata = one.object["metadata"]
            if self.api.store.get(target.resource.key, metadata.get("namespace", ""), metadata["name"]):
                self.api.delete(target.resource, metadata.get("namespace", ""), metadata["name"], options)
        kind = {"kind": f"{target.resource.kind}List", "apiVersion": target.resource.api_version}
        return _json(
            {
                **kind,
                "metadata": {"resourceVersion": str(self.api.store.revision)},
                "items": [one.object for one in meant],
            }
        )

    async def _subresource(self, request: web.Request, target: Target) -> web.StreamResponse:
        resource, namespace, name = target.resource, target.namespace or "", target.name
        what, method = target.subresource, request.method
        if what == "scale" and method in ("GET", "PUT", "PATCH"):
            scale = subresources.scale_of(resource, self.api.get(resource, namespace, name).object)
            if method != "GET":
                given = await requests.body(request)
                kind = requests.PATCHES.get(request.content_type, "merge")
                given = (
                    given
                    if method == "PUT"
                    else self.api.patched(resource, scale, given, "json" if kind == "json" else "merge")
                )
                scale = subresources.set_scale(
                    self.api, resource, namespace, name, given or {}, dry_run=requests.dry_run(request),
                    admit=self._admission(request),
                )  # fmt: skip
            return _json(scale)
        if what == "eviction" and method == "POST":
            return _json(
                subresources.evict(self.api, namespace, name, await requests.body(request) or {}), 201
            )
        if what == "binding" and method == "POST":
            given = await requests.body(request) or {}
            subresources.bind(self.api, namespace, name, str((given.get("target") or {}).get("name", "")))
            return _json(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
            )
        if what == "finalize" and method == "PUT":
            given = await requests.body(request) or {}
            old = self.api.get(resource, "", name).copy()
            spec = {"finalizers": (given.get("spec") or {}).get("finalizers") or []}
            stored, _ = self.api.update(resource, "", name, {**old, "spec": spec})
            return _json(stored.object)
        if what == "token" and method == "POST":
            self.api.get(resource, namespace, name)
            status = {"token": request["user"].token, "expirationTimestamp": timestamp()}
            return _json(
                {
                    "kind": "TokenRequest",
                    "apiVersion": "authentication.k8s.io/v1",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": {"audiences": []},
                    "status": status,
                },
                201,
            )
        if what in ("log", "exec", "attach", "portforward"):
            pod = self.api.get(resource, namespace, name).object
            if self.streams is not None:
                return await self.streams.serve(request, pod, what)
            raise errors.not_here(f"containers behind its simulated pods, so no {what}")
        raise errors.method_not_allowed(method)

    def _one(
        self,
        request: web.Request,
        target: Target,
        stored: Stored,
        code: int = 200,
        warned: list[str] | None = None,
    ) -> web.StreamResponse:
        body = stored.data
        if requests.wants_table(request):
            version = {"resourceVersion": str(stored.revision)}
            body = orjson.dumps(tables.table(target.resource, [stored.object], version))
        response = web.Response(body=body, status=code, content_type="application/json")
        for name, text in requests.warnings(warned or ()):
            response.headers.add(name, text)
        return response


def _allows(target: Target, method: str) -> bool:
    verbs = {
        "GET": ("get",) if target.name else ("list",),
        "POST": () if target.name else ("create",),
        "PUT": ("update",) if target.name else (),
        "PATCH": ("patch",) if target.name else (),
        "DELETE": ("delete",) if target.name else ("deletecollection",),
    }[method]
    return any(verb in target.resource.verbs for verb in verbs)


def _json(thing: Any, code: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(thing), status=code, content_type="application/json", headers=headers or {}
    )
