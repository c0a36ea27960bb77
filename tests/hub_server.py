"""A small Hugging Face Hub on loopback: pushing and pulling is tested with the real client, without a network.

It speaks the part of the protocol that `huggingface_hub`, `diffusers` and `datasets` use here: creating repos, commits
of regular and LFS files, branches and tags, info on models, data sets and Spaces, file trees and downloads, and
private repos. LFS files lie behind a redirect to a second listener that plays the CDN: like the real one it refuses a
request that carries a token. All data live in memory. The client needs `HF_ENDPOINT=<url>` and
`HF_HUB_DISABLE_XET=1` in the environment before `huggingface_hub` is imported (see conftest.py).
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


LFS_PATTERNS = ("*.safetensors", "*.bin", "*.parquet", "*.png", "*.jpg", "*.onnx")


def is_lfs_path(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in LFS_PATTERNS)


@dataclass(frozen=True)
class File:
    data: bytes
    is_lfs: bool

    @property
    def oid(self) -> str:
        """Of an LFS file its sha256, of a regular one its git blob id; the client leaves out what has it already."""
        if self.is_lfs:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass
class Repo:
    is_private: bool
    refs: dict[str, str] = field(default_factory=dict)  # branch or tag -> commit
    commits: dict[str, dict[str, File]] = field(default_factory=dict)  # commit -> path -> file

    def commit(self, branch: str, files: dict[str, File]) -> str:
        # of the content, too: the client's cache must tell a replaced repo from the one before
        content = sorted((path, file.oid) for path, file in files.items())
        commit = hashlib.sha1(f"{branch} {len(self.commits)} {content}".encode()).hexdigest()
        self.commits[commit] = files
        self.refs[branch] = commit
        return commit


REPO_ID = r"([\w.-]{1,96}/)?[\w.-]{1,96}"
LICENSES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-sa-4.0", "openrail", "other")  # some of the Hub's


def metadata_problems(metadata: dict) -> list[str]:
    """What the Hub's rules for a model's metadata forbid: license, ids, and the form of `model-index` and `widget`."""
    problems = []
    if metadata.get("license", "mit") not in LICENSES:
        problems.append(f'"license" must be one of {", ".join(LICENSES)}')
    for key in ("datasets", "base_model"):
        for name in [metadata[key]] if isinstance(metadata.get(key), str) else metadata.get(key, []):
            if not re.fullmatch(REPO_ID, name):
                problems.append(f'"{key}" with value "{name}" is not valid. It must be a repository\'s id')
    if not all(isinstance(tag, str) for tag in metadata.get("tags", [])):
        problems.append('"tags" must be an array of strings')
    for model in metadata.get("model-index", []):
        for result in model["results"]:
            given = {*result["task"], *(f"dataset.{key}" for key in result["dataset"]), *result["metrics"][0]}
            if missing := {"type", "dataset.type", "dataset.name", "value"} - given or not model.get("name"):
                problems.append(f'"model-index" lacks {missing}')
    for example in metadata.get("widget", []):
        if not example.get("text") or example["output"]["url"].startswith("/"):
            problems.append('"widget" needs texts, and addresses within the repository')
    return problems


class HubError(Exception):
    """An HTTP error. The client chooses its exception class by `code`, more than by the status."""

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message, "X-Error-Code": code, "X-Repo-Commit": commit}


class HubServer:
    """The server, its one user and what is stored.

    Attributes:
        url: the endpoint, `http://127.0.0.1:PORT`.
        cdn_url: where LFS files are up- and downloaded.
        user, token: the one account; it owns the namespace `user/`.
        requests: `"METHOD path"` of every request so far, for tests that check what was asked.
    """

    def __init__(self, user: str = "alice", token: str = "hf_alice") -> None:
        self.user, self.token = user, token
        self.repos: dict[tuple[str, str], Repo] = {}  # ("models" | "datasets" | "spaces", "user/name") -> repo
        self.lfs_objects: dict[str, bytes] = {}  # sha256 -> content
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"hub": self})) for _ in range(2)]
        # the CDN is another host: of a redirect to the same one, huggingface_hub 1.33 takes no headers
        hosts = ("127.0.0.1", "localhost")
        self.url, self.cdn_url = (f"http://{h}:{s.server_port}" for h, s in zip(hosts, self._servers, strict=True))

    def start(self) -> "HubServer":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def add_repo(self, repo_id: str, files: dict[str, bytes], *, kind: str = "models") -> None:
        """A public repo in any namespace, made without the client; replaces one of that name."""
        repo = self.repos[kind, repo_id] = Repo(is_private=False)
        repo.commit("main", {path: self.file(path, data) for path, data in files.items()})

    def file(self, path: str, data: bytes) -> File:
        file = File(data, is_lfs=is_lfs_path(path))
        if file.is_lfs:
            self.lfs_objects[file.oid] = data
        return file

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each request takes 40 ms

    def handle_request(self) -> None:
        path = urlsplit(self.path).path
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {path}")
        try:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            self.is_user = token == self.hub.token
            if token and not self.is_user:
                raise HubError(401, "Invalid credentials in Authorization header")
            for methods, pattern, function in ROUTES:
                match = re.fullmatch(pattern, path) if self.command in methods else None
                if match:
                    arguments = {name: unquote(value or "") for name, value in match.groupdict().items()}
                    with self.hub.lock:
                        return function(self, **arguments)
            raise HubError(404, f"Not found: {self.command} {path}")
        except HubError as error:
            self.reply({"error": str(error)}, error.status, {k: v for k, v in error.headers.items() if v})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request

    def reply(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Nothing: the server is silent."""

    # Access

    def repo(self, kind: str, repo_id: str, *, write: bool = False) -> Repo:
        repo = self.hub.repos.get((kind, repo_id))
        if repo is None or (repo.is_private and not self.is_user):
            # A private repo answers as if it did not exist.
            raise HubError(404 if self.is_user else 401, "Repository not found", "RepoNotFound")
        if write and not self.is_user:
            raise HubError(401, "You need a token with write access")
        return repo

    def files_at(self, repo: Repo, revision: str) -> tuple[str, dict[str, File]]:
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit, repo.commits[commit]

    def whoami(self) -> None:
        if not self.is_user:
            raise HubError(401, "Invalid user token")
        self.reply({"type": "user", "name": self.hub.user, "orgs": []})

    # Repos

    def create_repo(self) -> None:
        request = json.loads(self.body)
        if not self.is_user or request.get("organization") not in (None, self.hub.user):
            raise HubError(401, "You don't have the rights to create a repo in this namespace")
        kind, repo_id = f"{request.get('type') or 'model'}s", f"{self.hub.user}/{request['name']}"
        answer = {"url": f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"}
        if (kind, repo_id) in self.hub.repos:
            return self.reply(answer | {"error": "You already created this repo"}, 409)
        repo = self.hub.repos[kind, repo_id] = Repo(is_private=request.get("visibility") == "private")
        repo.commit("main", {".gitattributes": File(b"", is_lfs=False)})
        self.reply(answer)

    def create_branch_or_tag(self, kind: str, repo_id: str, what: str, name: str) -> None:
        repo, request = self.repo(kind, repo_id, write=True), json.loads(self.body or "{}")
        ref, start = (name, request.get("startingPoint", "main")) if what == "branch" else (request["tag"], name)
        if ref in repo.refs:
            raise HubError(409, f"Reference {ref} already exists")
        repo.refs[ref] = self.files_at(repo, start)[0]
        self.reply({})

    def info(self, kind: str, repo_id: str, revision: str) -> None:
        repo = self.repo(kind, repo_id)
        commit, files = self.files_at(repo, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(files)]
        self.reply({"id": repo_id, "sha": commit, "private": repo.is_private, "tags": [], "siblings": siblings})

    def tree(self, kind: str, repo_id: str, revision: str, folder: str) -> None:
        commit, files = self.files_at(self.repo(kind, repo_id), revision)
        prefix = f"{folder}/" if folder else ""
        paths = [path for path in sorted(files) if path.startswith(prefix)]
        if folder and not paths:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound", commit)
        if "recursive" in self.query and self.query["recursive"][0].lower() == "true":
            entries = {path: self.entry(files, path) for path in paths}
        else:
            children = (prefix + path[len(prefix) :].split("/")[0] for path in paths)
            entries = {path: self.entry(files, path) for path in children}
        self.reply(list(entries.values()))

    @staticmethod
    def entry(files: dict[str, File], path: str) -> dict:
        if path not in files:
            return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
        file = files[path]
        entry = {"type": "file", "path": path, "size": len(file.data), "oid": file.oid}
        lfs = {"lfs": {"oid": file.oid, "size": len(file.data), "pointerSize": 130}}
        return entry | lfs if file.is_lfs else entry

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    # Push: preupload says how each file travels, LFS files go to the CDN, the commit names everything

    def validate_yaml(self) -> None:
        """Refuse what the Hub refuses in a card's metadata, or is said to."""
        request = json.loads(self.body)
        fence = re.match(r"---\n(.*?)\n---\n", request["content"], re.DOTALL)
        try:
            metadata = yaml.safe_load(fence[1]) if fence else {}
            problems = metadata_problems(metadata) if request["repoType"] == "model" else []
        except yaml.YAMLError as error:
            problems = [str(error)]
        self.reply({"errors": [{"message": text} for text in problems], "warnings": []}, 400 if problems else 200)

    def preupload(self, kind: str, repo_id: str, revision: str) -> None:
        _, files = self.files_at(self.repo(kind, repo_id, write=True), revision)
        answer = []
        for path in (file["path"] for file in json.loads(self.body)["files"]):
            mode = "lfs" if is_lfs_path(path) else "regular"
            oid = files[path].oid if path in files else None
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.reply({"files": answer})

    def lfs_batch(self, kind: str, repo_id: str) -> None:
        self.repo(kind or "models", repo_id, write=True)
        objects = json.loads(self.body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.lfs_objects:  # without an action the client takes it as uploaded
                item["actions"] = {"upload": {"href": f"{self.hub.cdn_url}/cdn/{item['oid']}"}}
        self.reply({"transfer": "basic", "objects": objects})

    def commit(self, kind: str, repo_id: str, revision: str) -> None:
        repo = self.repo(kind, repo_id, write=True)
        files = dict(self.files_at(repo, revision)[1])
        for operation in map(json.loads, self.body.splitlines()):
            key, value = operation["key"], operation["value"]
            if key == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), is_lfs=False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.lfs_objects:
                    raise HubError(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = File(self.hub.lfs_objects[value["oid"]], is_lfs=True)
            elif key == "deletedFile":
                files.pop(value["path"], None)
            elif key != "header":
                raise HubError(400, f"Unknown operation {key}")
        commit = repo.commit(revision, files)
        place = repo_id if kind == "models" else f"{kind}/{repo_id}"
        self.reply({"commitOid": commit, "commitUrl": f"{self.hub.url}/{place}/commit/{commit}"})

    # Pull

    def resolve(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        commit, files = self.files_at(self.repo(kind or "models", repo_id), revision)
        if path not in files:
            raise HubError(404, f"Entry not found: {path}", "EntryNotFound", commit)
        file, headers = files[path], {"X-Repo-Commit": commit}
        if not file.is_lfs:
            return self.reply(file.data, headers=headers | {"ETag": f'"{file.oid}"'})
        linked = {"X-Linked-ETag": f'"{file.oid}"', "X-Linked-Size": str(len(file.data))}
        self.reply(b"", 302, headers | linked | {"Location": f"{self.hub.cdn_url}/cdn/{file.oid}"})

    def cdn(self, oid: str) -> None:
        if "Authorization" in self.headers:
            raise HubError(400, "The client sent its token to the CDN")
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != oid:
                raise HubError(400, f"The content's sha256 is not {oid}")
            self.hub.lfs_objects[oid] = self.body
            return self.reply({})
        data = self.hub.lfs_objects[oid]
        if part := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""):  # streams read parts of files
            return self.reply(data[int(part[1]) : int(part[2]) + 1], 206)
        self.reply(data, headers={"ETag": f'"{oid}"'})


# Revisions and paths are quoted: a branch `dev/x` arrives as `dev%2Fx`, so the raw path is matched and its parts
# unquoted.
API = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo_id>[^/]+/[^/]+)"
WEB = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"
ROUTES = (
    (("GET",), r"/api/whoami-v2", Handler.whoami),
    (("POST",), r"/api/repos/create", Handler.create_repo),
    (("POST",), r"/api/validate-yaml", Handler.validate_yaml),
    (("GET",), rf"{API}(?:/revision/{REVISION})?", Handler.info),
    (("GET",), rf"{API}/tree/{REVISION}(?:/(?P<folder>.+))?", Handler.tree),
    (("POST",), rf"{API}/(?P<what>branch|tag)/(?P<name>[^/]+)", Handler.create_branch_or_tag),
    (("POST",), rf"{API}/preupload/{REVISION}", Handler.preupload),
    (("POST",), rf"{API}/commit/{REVISION}", Handler.commit),
    (("POST",), rf"{WEB}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (("GET", "HEAD"), rf"{WEB}/resolve/{REVISION}/(?P<path>.+)", Handler.resolve),
    (("GET", "HEAD", "PUT"), r"/cdn/(?P<oid>[0-9a-f]{64})", Handler.cdn),
)
