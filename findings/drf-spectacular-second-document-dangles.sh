#!/bin/sh
# drf-spectacular 0.30.0 (djangorestframework 3.18.3, Django 5.2.19): schemas given in APPEND_COMPONENTS are changed in
# place while the document is made. An enum in one of them is replaced by a reference to a component of its own in the
# setting itself; the second document of the same process has the reference and no longer the component.
#
# Seen (component names, then where the property points to, of the first and the second document):
#   ['Lamp', 'StateEnum'] #/components/schemas/StateEnum
#   ['Lamp'] #/components/schemas/StateEnum
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check drf-spectacular==0.30.0 djangorestframework==3.18.3 Django==5.2.19 2>/dev/null
cat >look.py <<'PY'
import django
from django.conf import settings

lamp = {"type": "object", "properties": {"state": {"type": "string", "enum": ["on", "off"]}}}
settings.configure(
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework", "drf_spectacular"],
    REST_FRAMEWORK={
        "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
    SPECTACULAR_SETTINGS={"APPEND_COMPONENTS": {"schemas": {"Lamp": lamp}}},
)
django.setup()
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.views import APIView


class LampView(APIView):
    @extend_schema(responses={200: {"$ref": "#/components/schemas/Lamp"}})
    def get(self, request):
        """Never called."""


urlpatterns = [path("lamp", LampView.as_view())]
for _ in range(2):
    schemas = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    print(sorted(schemas), schemas["Lamp"]["properties"]["state"].get("$ref"))
PY
v/bin/python look.py >seen
sed -n 's/^#   //p' "$script" | diff - seen
