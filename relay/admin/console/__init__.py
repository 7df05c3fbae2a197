"""Pages for operators on the private listener: they draw what the desk answers, and put forms to it as acts.

Every page works without JavaScript. What a page shows is asked by `page.ask`, what a form does is done by `forms.act`.
"""
