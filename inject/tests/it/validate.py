"""Validates manifests for versions of Kubernetes: validate.py VERSION,VERSION FILE...; one line for each problem."""

import sys
import warnings

import kubernetes_validate
import yaml

warnings.simplefilter("ignore")
newest = kubernetes_validate.latest_version()
versions = [newest if version == "newest" else version for version in sys.argv[1].split(",")]
seen = 0


def objects(document):
    if not isinstance(document, dict):
        return
    if str(document.get("kind", "")).endswith("List") and "items" in document:
        for item in document["items"]:
            yield from objects(item)
    elif "apiVersion" in document:
        yield document


for path in sys.argv[2:]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        # Tabs between the tokens of JSON: the library of kubectl takes them, this one does not.
        documents = list(yaml.safe_load_all(file.read().replace("\t", "    ")))
    for document in documents:
        for found in objects(document):
            for version in versions:
                try:
                    kubernetes_validate.validate(found, version, strict=True)
                    seen += 1
                except kubernetes_validate.SchemaNotFoundError:
                    pass  # a custom resource
                except kubernetes_validate.ValidationError as error:
                    where = ".".join(str(part) for part in error.path)
                    print(f"{path}: {version}: {found['kind']}: {where}: {error.message[:300]}")
print(f"validated {seen}, newest {newest}", file=sys.stderr)
