"""The bucket that everything is kept in, whichever cloud a machine is in. Yours to use, not to change.

    bucket = Bucket()                                    # reads STORE_URL and STORE_BUCKET
    content, etag = bucket.read("models/digits/stages/production.json")
    bucket.write(key, content)                           # whatever is there is replaced
    bucket.write(key, content, only_if=ABSENT)           # only if nothing is there
    bucket.write(key, content, only_if=etag)             # only if it still is what was read

One write is atomic: readers find the old object or the new one. Of conditional writes that come at once, the
store lets one through.
"""

import hashlib
import os
import threading

ABSENT = "*"
"""`only_if=ABSENT`: the object must not exist yet."""


class NotThere(KeyError):
    """There is no such object."""


class Changed(Exception):
    """Somebody else wrote first: the condition of a write does not hold any more."""


class Unreachable(Exception):
    """The store did not answer. A write may have happened nevertheless."""


class Bucket:
    """A bucket of an S3 store; each thread may have its own, or share one."""

    def __init__(self, url=None, name=None):
        import boto3
        from botocore.config import Config

        self.name = name or os.environ["STORE_BUCKET"]
        settings = Config(
            s3={"addressing_style": "path"},
            # One try: whether to ask again is for whoever knows what was asked.
            retries={"total_max_attempts": 1},
            connect_timeout=2,
            read_timeout=10,
            max_pool_connections=16,
            proxies={},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = boto3.Session("platform", "platform", region_name=os.environ.get("REGION", "us-east-1"))
        self._s3 = session.client("s3", endpoint_url=url or os.environ["STORE_URL"], config=settings)

    def read(self, key):
        """An object's bytes and its ETag. Raises NotThere, Unreachable."""
        answer = self._ask(self._s3.get_object, Key=key)
        try:
            return answer["Body"].read(), answer["ETag"]
        except Exception as error:  # the connection ended within the object
            raise Unreachable(f"{key}: {error}") from error

    def write(self, key, content, *, only_if=None):
        """Put an object; gives its new ETag. Raises Changed if the condition fails, and Unreachable."""
        condition = {}
        if only_if is not None:
            condition = {"IfNoneMatch": "*"} if only_if == ABSENT else {"IfMatch": only_if}
        try:
            return self._ask(self._s3.put_object, Key=key, Body=content, **condition)["ETag"]
        except NotThere as error:  # If-Match on an object that is gone
            raise Changed(key) from error

    def keys(self, prefix):
        """The keys that begin with `prefix`, sorted. Raises Unreachable."""
        found, more = [], {}
        while True:
            answer = self._ask(self._s3.list_objects_v2, Prefix=prefix, **more)
            found += [each["Key"] for each in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return sorted(found)
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, key):
        """Delete an object; harmless if it is not there. Raises Unreachable."""
        self._ask(self._s3.delete_object, Key=key)

    def _ask(self, call, **arguments):
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(Bucket=self.name, **arguments)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                raise NotThere(arguments.get("Key", "")) from error
            if status in (409, 412):
                raise Changed(arguments.get("Key", "")) from error
            raise Unreachable(f"{arguments.get('Key', '')}: {error}") from error
        except BotoCoreError as error:
            raise Unreachable(f"{arguments.get('Key', '')}: {error}") from error


class MemoryBucket:
    """The same in memory, for tests: conditional writes are atomic here too."""

    def __init__(self):
        self._objects = {}
        self._lock = threading.Lock()

    def read(self, key):
        with self._lock:
            if key not in self._objects:
                raise NotThere(key)
            return self._objects[key], _etag(self._objects[key])

    def write(self, key, content, *, only_if=None):
        with self._lock:
            there = self._objects.get(key)
            if only_if == ABSENT and there is not None:
                raise Changed(key)
            if only_if not in (None, ABSENT) and (there is None or _etag(there) != only_if):
                raise Changed(key)
            self._objects[key] = bytes(content)
            return _etag(self._objects[key])

    def keys(self, prefix):
        with self._lock:
            return sorted(key for key in self._objects if key.startswith(prefix))

    def delete(self, key):
        with self._lock:
            self._objects.pop(key, None)


def _etag(content):
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
