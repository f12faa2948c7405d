"""Filters for what rules say of a request."""

from django import template

from profiles.policy.words import in_plain_words

register = template.Library()
register.filter("plain", in_plain_words)
