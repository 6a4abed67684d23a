# Answers the questions of main.rs with Ruby's own libraries, as GitLab calls them: one JSON array per line, and one answer per line.

require "json"
require "psych"
require "gitlab_chronic_duration"

FNMATCH = File::FNM_PATHNAME | File::FNM_DOTMATCH | File::FNM_EXTGLOB

# A value of YAML with its Ruby class, because JSON has fewer.
def typed(value)
  case value
  when nil, true, false then value
  when Integer then { integer: value.to_s }
  when Float then { float: value.to_s }
  when String then { string: value }
  when Symbol then { symbol: value.to_s }
  when Array then { array: value.map { |item| typed(item) } }
  when Hash then { hash: symbolized(value).map { |key, item| [typed_key(key), typed(item)] } }
  else { other: value.class.name }
  end
end

# `deep_symbolize_keys` of `lib/gitlab/config/loader/yaml.rb`
def symbolized(hash)
  hash.each_with_object({}) { |(key, item), symbols| symbols[key.is_a?(String) ? key.to_sym : key] = item }
end

# Of keys that are neither texts nor integers, only the class matters.
def typed_key(key)
  case key
  when Symbol then { text: key.to_s }
  when Integer then { integer: key.to_s }
  else "other"
  end
end

def answer(kind, *arguments)
  case kind
  # `lib/gitlab/ci/build/duration_parser.rb`
  when "duration" then { seconds: ChronicDuration.parse(arguments[0]) }
  # `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
  when "glob" then { matches: File.fnmatch?(arguments[0], arguments[1], FNMATCH) }
  # `lib/gitlab/config/loader/yaml.rb`
  when "yaml"
    { value: typed(Psych.safe_load(arguments[0], permitted_classes: [Symbol], permitted_symbols: [], aliases: true)) }
  end
rescue StandardError, SystemStackError => error
  { error: "#{error.class}: #{error.message}" }
end

$stdout.sync = true
$stdin.each_line { |line| puts JSON.generate(answer(*JSON.parse(line)), allow_nan: true) }
