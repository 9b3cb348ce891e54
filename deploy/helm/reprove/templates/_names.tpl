{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "reprove.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "reprove" $name) -}}{{- $name = printf "%s-reprove" $name -}}{{- end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "reprove.selector" -}}
app.kubernetes.io/name: reprove
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "reprove.labels" -}}
{{ include "reprove.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "reprove.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest | quote }}
{{- else -}}
{{ printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) | quote }}
{{- end -}}
{{- end }}
