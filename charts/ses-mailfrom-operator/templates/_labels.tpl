{{/* What selects the pods; never changes, because a selector cannot. */}}
{{- define "ses-mailfrom.selector" -}}
app.kubernetes.io/name: ses-mailfrom
{{- end }}

{{- define "ses-mailfrom.labels" -}}
{{ include "ses-mailfrom.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
